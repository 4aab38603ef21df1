create table note (
    note_id      bigint      primary key generated always as identity,
    noted_at     timestamptz not null,
    app_version  text        not null,
    text         text        not null,
    created_at   timestamptz not null
);
