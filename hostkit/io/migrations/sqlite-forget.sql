-- Retention: what ended before :visits_s, :hours_s or :days_s goes.
DELETE FROM visit WHERE end_s < :visits_s;
-- Whole prefixes of messages go and `base` moves over them, so that no gap opens.
UPDATE outbox SET base = max(base, old)
    FROM (SELECT source AS s, boot AS b, max(seq) AS old FROM message WHERE time_s < :visits_s GROUP BY 1, 2)
    WHERE source = s AND boot = b;
UPDATE outbox SET upto = max(upto, base), stored = (
    SELECT count(*) FROM message AS m
    WHERE m.source = outbox.source AND m.boot = outbox.boot AND seq > base AND good
);
DELETE FROM message WHERE seq <= (
    SELECT base FROM outbox AS o WHERE o.source = message.source AND o.boot = message.boot
);
DELETE FROM lost WHERE until_s < :visits_s;
DELETE FROM event WHERE time_s < :hours_s;
DELETE FROM quarantine WHERE time_s < :visits_s;
DELETE FROM dirty WHERE hour_s < :visits_s;
DELETE FROM bucket WHERE grain = 'hour' AND end_s < :hours_s;
DELETE FROM bucket WHERE grain = 'day' AND end_s < :days_s;
