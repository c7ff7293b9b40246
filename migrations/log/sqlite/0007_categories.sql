-- A category is what stands before the first hyphen of a stream's name: `question` of `question-7`. Its
-- events are read in the log's order, which no prefix of (stream, version) gives without sorting all of
-- them. A query must spell the expression as it stands here.
CREATE INDEX events_by_category ON events (substr(stream, 1, instr(stream || '-', '-') - 1), position);
