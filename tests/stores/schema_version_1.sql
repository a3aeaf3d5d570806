CREATE TABLE inventory_meta (
    id INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE inventory_sources (
    name VARCHAR(255) NOT NULL,
    spec TEXT NOT NULL,
    state TEXT NOT NULL,
    status VARCHAR(16) NOT NULL,
    epoch BIGINT NOT NULL,
    wake_at BIGINT,
    PRIMARY KEY (name)
);
CREATE INDEX inventory_sources_due ON inventory_sources (wake_at, name);
CREATE TABLE inventory_runs (
    id VARCHAR(255) NOT NULL,
    source VARCHAR(255) NOT NULL,
    started_at BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    result VARCHAR(16) NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX inventory_runs_of_source ON inventory_runs (source, started_at);
CREATE TABLE inventory_rejections (
    id INTEGER NOT NULL,
    run_id VARCHAR(255) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    resolved_at BIGINT,
    document TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX inventory_rejections_of_run ON inventory_rejections (run_id, id);
CREATE TABLE inventory_chunks (
    source VARCHAR(255) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    number BIGINT NOT NULL,
    part INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (source, kind, number, part)
);
CREATE TABLE inventory_unmapped (
    source VARCHAR(255) NOT NULL,
    sku VARCHAR(255) NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (source, sku)
);
CREATE TABLE inventory_held (
    source VARCHAR(255) NOT NULL,
    digest VARCHAR(255) NOT NULL,
    run_id VARCHAR(255) NOT NULL,
    held_at BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (source)
);
CREATE TABLE inventory_overrides (
    source VARCHAR(255) NOT NULL,
    external_sku VARCHAR(255) NOT NULL,
    sku VARCHAR(255) NOT NULL,
    PRIMARY KEY (source, external_sku)
);
CREATE TABLE inventory_outbox (
    id VARCHAR(255) NOT NULL,
    source VARCHAR(255) NOT NULL,
    document TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at BIGINT,
    settled_at BIGINT,
    PRIMARY KEY (id)
);
CREATE INDEX inventory_outbox_due ON inventory_outbox (next_attempt_at);
CREATE TABLE inventory_inbox (
    number INTEGER NOT NULL,
    id VARCHAR(255) NOT NULL,
    source VARCHAR(255) NOT NULL,
    dedup_key VARCHAR(255) NOT NULL,
    received_at BIGINT NOT NULL,
    done_at BIGINT,
    document TEXT NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (source, dedup_key),
    UNIQUE (id)
);
CREATE INDEX inventory_inbox_waiting ON inventory_inbox (source, done_at, received_at);
CREATE TABLE inventory_audit (
    id INTEGER NOT NULL,
    source VARCHAR(255) NOT NULL,
    recorded_at BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX inventory_audit_of_source ON inventory_audit (source, id);
INSERT INTO inventory_meta VALUES (1, 1);
