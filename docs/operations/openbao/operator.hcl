# What a person may ask of the key server who makes a key backup or puts one back: open and wrap keys,
# those under escrow too. They can neither rotate nor destroy a master key; the worker does that.
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
path "transit/decrypt/consent-escrow" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
