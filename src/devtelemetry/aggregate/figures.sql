-- The end of reliability.sql's statement for stored figures, or for a table of two dimensions.

-- include: authors.sql

-- include: rollup.sql
