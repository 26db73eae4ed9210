# What a web process may ask of the key server: open what serving needs, and put keys under escrow.
# It can never take a key out of escrow: the server itself answers 403.
path "transit/keys/consent-live" {
  capabilities = ["read"]
}
path "transit/encrypt/consent-live" {
  capabilities = ["update"]
}
path "transit/decrypt/consent-live" {
  capabilities = ["update"]
}
path "transit/keys/consent-escrow" {
  capabilities = ["read"]
}
path "transit/encrypt/consent-escrow" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
