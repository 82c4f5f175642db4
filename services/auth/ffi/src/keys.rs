//! A set of public keys, and what is signed by one of them.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{decode, decode_header, Algorithm, DecodingKey, Validation};
use serde_json::Value;

struct Key {
    id: Option<String>,
    // The one algorithm that the key is for, where the set says so.
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
}

pub struct Keys {
    keys: Vec<Key>,
}

/// Public-key signatures only: a symmetric algorithm would let whoever reads the
/// public key sign.
fn is_public(algorithm: Algorithm) -> bool {
    !matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    )
}

fn usable(jwk: &Jwk) -> bool {
    let signs = !matches!(
        jwk.common.public_key_use,
        Some(PublicKeyUse::Encryption) | Some(PublicKeyUse::Other(_))
    );
    signs && !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_))
}

impl Keys {
    pub fn parse(jwks: &str) -> Result<Keys, String> {
        let set: Value =
            serde_json::from_str(jwks).map_err(|error| format!("not a JWK set: {error}"))?;
        let list = set
            .get("keys")
            .and_then(Value::as_array)
            .ok_or("not a JWK set: no array \"keys\"")?;
        let mut keys = Vec::new();
        for value in list {
            // Keys of types that are unknown here must be ignored (RFC 7517, 5).
            let Ok(jwk) = serde_json::from_value::<Jwk>(value.clone()) else {
                continue;
            };
            if !usable(&jwk) {
                continue;
            }
            let algorithm = match jwk.common.key_algorithm {
                None => None,
                Some(named) => match named.to_string().parse::<Algorithm>() {
                    Ok(algorithm) if is_public(algorithm) => Some(algorithm),
                    _ => continue,
                },
            };
            let Ok(decoding) = DecodingKey::from_jwk(&jwk) else {
                continue;
            };
            keys.push(Key {
                id: jwk.common.key_id.clone(),
                algorithm,
                decoding,
            });
        }
        if keys.is_empty() {
            return Err("the JWK set has no public key for signatures".to_string());
        }
        Ok(Keys { keys })
    }

    pub fn lacks_key_of(&self, token: &str) -> bool {
        decode_header(token).is_ok_and(|header| {
            header
                .kid
                .is_some_and(|kid| self.keys.iter().all(|key| key.id.as_ref() != Some(&kid)))
        })
    }

    pub fn verify(&self, token: &str, issuer: &str, audience: &str) -> Result<String, String> {
        let header = decode_header(token).map_err(|_| "the token is malformed".to_string())?;
        if !is_public(header.alg) {
            return Err("the token's algorithm is not accepted".to_string());
        }
        let key = match &header.kid {
            Some(kid) => self.keys.iter().find(|key| key.id.as_ref() == Some(kid)),
            None if self.keys.len() == 1 => self.keys.first(),
            None => None,
        };
        let key = key.ok_or("the token's key is not known")?;
        if key.algorithm.is_some_and(|only| only != header.alg) {
            return Err("the token's algorithm is not that of its key".to_string());
        }
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        // The caller's clock decides.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let claims = decode::<Value>(token, &key.decoding, &validation)
            .map_err(|error| format!("the token is refused: {error}"))?
            .claims;
        Ok(claims.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_keys_are_left_out() {
        let set = r#"{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}"#;
        assert!(Keys::parse(set).is_err());
        assert!(Keys::parse("{}").is_err());
        assert!(Keys::parse("[").is_err());
    }
}
