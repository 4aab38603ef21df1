-- Tokens by name. Only their SHA-256 is stored. A token is 256 random bits, so nobody can guess it from the hash.

-- name: create
-- Returns the name, or no row if a token has that name already, even a revoked one.
insert into token (name, scope, hash, created_at)
values ($name, $scope, $hash, $created_at)
on conflict (name) do nothing
returning name

-- name: list
select name, scope, created_at, revoked_at from token order by name

-- name: revoke
-- Returns the time of the (first) revocation; no row if no token has that name.
update token set revoked_at = coalesce(revoked_at, $now) where name = $name returning revoked_at

-- name: valid
select hash, name from token where scope = $scope and revoked_at is null
