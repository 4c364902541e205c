-- When an instance changed the key that it registered with.

ALTER TABLE instances ADD COLUMN key_at INTEGER;
