"""REST APIs: requests, credentials, pages, and what of them is a stock list."""

from inventory_sources._http import HttpAnswer, HttpLimits, HttpRequest
from inventory_sources.rest._auth import ApiKey, Auth, Basic, Bearer, Both
from inventory_sources.rest._calls import Call
from inventory_sources.rest._connector import RestConnector
from inventory_sources.rest._counting import HeaderTotal, KeySet, Offset, PageNumber
from inventory_sources.rest._details import Details
from inventory_sources.rest._graphql import GraphQl
from inventory_sources.rest._hmac import HmacSigning
from inventory_sources.rest._joins import Join
from inventory_sources.rest._login import LoginToken
from inventory_sources.rest._manners import Budget, CostThrottle, Manners
from inventory_sources.rest._nested import RestRows
from inventory_sources.rest._oauth1 import OAuth1
from inventory_sources.rest._oauth2 import ClientCredentials, RefreshToken
from inventory_sources.rest._pagers import Cursor, GraphQlCursor, LinkHeader, NextUrl, OnePage
from inventory_sources.rest._pages import Declared, ListMoved, Page, Pager
from inventory_sources.rest._posted import BodyKey, BodyKeySet, PostedQuery
from inventory_sources.rest._report import Report
from inventory_sources.rest._session import RestSession
from inventory_sources.rest._told_pages import PageNumberMore
from inventory_sources.rest._watermark import Watermark

__all__ = [
    "ApiKey",
    "Auth",
    "Basic",
    "Bearer",
    "BodyKey",
    "BodyKeySet",
    "Both",
    "Budget",
    "Call",
    "ClientCredentials",
    "CostThrottle",
    "Cursor",
    "Declared",
    "Details",
    "GraphQl",
    "GraphQlCursor",
    "HeaderTotal",
    "HmacSigning",
    "HttpAnswer",
    "HttpLimits",
    "HttpRequest",
    "Join",
    "KeySet",
    "LinkHeader",
    "ListMoved",
    "LoginToken",
    "Manners",
    "NextUrl",
    "OAuth1",
    "Offset",
    "OnePage",
    "Page",
    "PageNumber",
    "PageNumberMore",
    "Pager",
    "PostedQuery",
    "RefreshToken",
    "Report",
    "RestConnector",
    "RestRows",
    "RestSession",
    "Watermark",
]
