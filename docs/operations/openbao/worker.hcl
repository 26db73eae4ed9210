# What the worker may ask of the key server: all that the web may, taking keys out of escrow, and
# rotation with the destruction of old versions. It may neither export nor delete a key.
path "transit/keys/consent-live" {
  capabilities = ["read"]
}
path "transit/encrypt/consent-live" {
  capabilities = ["update"]
}
path "transit/decrypt/consent-live" {
  capabilities = ["update"]
}
path "transit/keys/consent-live/rotate" {
  capabilities = ["update"]
}
path "transit/keys/consent-live/config" {
  capabilities = ["update"]
  allowed_parameters = {
    "min_decryption_version" = []
    "min_encryption_version" = []
  }
}
path "transit/keys/consent-live/trim" {
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
path "transit/keys/consent-escrow/rotate" {
  capabilities = ["update"]
}
path "transit/keys/consent-escrow/config" {
  capabilities = ["update"]
  allowed_parameters = {
    "min_decryption_version" = []
    "min_encryption_version" = []
  }
}
path "transit/keys/consent-escrow/trim" {
  capabilities = ["update"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
