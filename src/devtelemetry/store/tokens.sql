-- Tokens by name. Only their SHA-256 is stored: they are 256 random bits, which nobody can guess from it.

-- name: create
-- Returns the name, or no row if there is one of that name already, revoked or not.
insert into token (name, scope, hash, created_at)
values ($name, $scope, $hash, $created_at)
on conflict (name) do nothing
returning name

-- name: list
select name, scope, created_at, revoked_at from token order by name

-- name: revoke
-- Returns the time of the revocation, the first one if it was revoked before; no row if there is none of that name.
update token set revoked_at = coalesce(revoked_at, $now) where name = $name returning revoked_at

-- name: valid
select hash, name from token where scope = $scope and revoked_at is null
