-- Which instance writes into it now. That of an instance that is gone counts as none: it does not hold its lease
-- any more (services/media/writers.h).
ALTER TABLE upload ADD COLUMN writer uuid;
