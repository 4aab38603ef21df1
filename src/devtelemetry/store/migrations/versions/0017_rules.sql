-- By which rules windows are computed, by whoever holds the lock RULES. One row.
create table rules_in_force (
    singleton  boolean primary key default true check (singleton),
    rules      jsonb   not null  -- by the name of a setting its value, as text
);
