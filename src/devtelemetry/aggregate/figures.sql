-- The end of the statement of reliability.sql for the figures that are stored, or for a table of two dimensions.

-- include: authors.sql

-- include: rollup.sql
