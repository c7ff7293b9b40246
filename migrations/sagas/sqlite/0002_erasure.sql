-- Whose sagas they are: a saga that is about a user has the user's id as `userId` in its data.
CREATE INDEX sagas_by_user ON sagas ((data ->> 'userId'));

-- Since when its user is gone: once it has ended, what it holds of the user is erased.
ALTER TABLE sagas ADD COLUMN erase_since INTEGER;
CREATE INDEX sagas_to_erase ON sagas (id) WHERE erase_since IS NOT NULL;

-- What retention looks for.
CREATE INDEX sagas_ended ON sagas (ended_at) WHERE ended_at IS NOT NULL;
