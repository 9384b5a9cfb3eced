//! Creates the text of the token file, which the API servers read only when they start. Writes no files.

use std::fmt::Write;

use anyhow::{Context, anyhow};

use super::options::User;

/// Generates a token for the administrator `admin` and for each of `users`. Returns the text of the token file, and the
/// name and token of each user, `admin` included.
pub(super) fn generate(users: &[User]) -> anyhow::Result<(String, Vec<(String, String)>)> {
    let admin = User { name: "admin".to_owned(), groups: vec!["system:masters".to_owned()] };
    let mut text = String::new();
    let mut tokens = Vec::new();
    for user in users.iter().chain([&admin]) {
        let token = random_token()?;
        // Columns: token, name, uid, and the groups in one quoted column.
        let User { name, groups } = user;
        writeln!(text, "{token},{name},{name},\"{}\"", groups.join(","))
            .context("cannot write to a string")?;
        tokens.push((user.name.clone(), token));
    }
    Ok((text, tokens))
}

/// A token of 128 random bits in hexadecimal. Other users of this machine can connect to the server's port: they must
/// not be able to guess a token.
fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| anyhow!("cannot generate random bytes"))?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_has_a_different_token() {
        let user = User { name: "jane".to_owned(), groups: vec!["a".to_owned(), "b".to_owned()] };
        let (text, tokens) = generate(&[user]).unwrap();
        assert_eq!(tokens.len(), 2);
        assert_ne!(tokens[0].1, tokens[1].1);
        assert!(text.contains(&format!("{},jane,jane,\"a,b\"\n", tokens[0].1)), "{text}");
        assert!(text.contains(",admin,admin,\"system:masters\"\n"), "{text}");
    }
}
