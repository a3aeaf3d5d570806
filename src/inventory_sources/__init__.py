"""Keeps a shop's stock levels true to the merchant's ERP, WMS or spreadsheet."""
