-- Tokens by name. Only their SHA-256 is stored: they are 256 random bits, which nobody can guess from it.

-- name: create
-- Returns the name, or no row if there is one of that name already, revoked or not.
insert into token (name, scope, hash, created_at)
values ($1, $2, $3, $4)
on conflict (name) do nothing
returning name

-- name: list
select name, scope, created_at, revoked_at from token order by name

-- name: revoke
-- Returns the time of the revocation, the first one if it was revoked before; no row if there is none of that name.
update token set revoked_at = coalesce(revoked_at, $2) where name = $1 returning revoked_at

-- name: valid
select hash, name from token where scope = $1 and revoked_at is null
