-- Messages of an outbox that came when they were here already.
CREATE TABLE again (
    source TEXT NOT NULL, boot TEXT NOT NULL, messages INTEGER NOT NULL, PRIMARY KEY (source, boot)
) WITHOUT ROWID;
