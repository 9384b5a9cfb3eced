//! `Failure`: the error of a failed case, with its source location. This module must not use [`super::server`].

use std::fmt;
use std::panic::Location;

/// The result of a case, or of a step in a case.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// An error, and the location of the `?` or check that failed.
pub(crate) struct Failure {
    location: &'static Location<'static>,
    error: anyhow::Error,
}

impl Failure {
    /// Creates a failure with this source location.
    pub(crate) fn at(location: &'static Location<'static>, error: anyhow::Error) -> Self {
        Self { location, error }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self { location: Location::caller(), error: error.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {:#}", self.location.file(), self.location.line(), self.error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Fails the case if the condition is false. The optional format arguments describe the observed value.
macro_rules! check {
    ($condition:expr $(,)?) => {
        if !$condition {
            return Err(anyhow::anyhow!("`{}` does not hold", stringify!($condition)).into());
        }
    };
    ($condition:expr, $($observed:tt)+) => {
        if !$condition {
            return Err(anyhow::anyhow!(
                "`{}` does not hold: {}", stringify!($condition), format_args!($($observed)+)
            ).into());
        }
    };
}

/// Fails the case unless both values are equal.
macro_rules! check_eq {
    ($left:expr, $right:expr $(,)?) => {
        match (&$left, &$right) {
            (left, right) => {
                if *left != *right {
                    return Err(
                        anyhow::anyhow!("`{}` is {left:?}, expected {right:?}", stringify!($left)).into()
                    );
                }
            }
        }
    };
}

/// Returns the error of a request that the server must reject. Fails the case if the request succeeds.
macro_rules! refused {
    ($result:expr) => {
        match $result {
            Err(error) => error,
            Ok(_) => return Err(anyhow::anyhow!("`{}` succeeded", stringify!($result)).into()),
        }
    };
}

pub(crate) use {check, check_eq, refused};

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails in a different way for each number below 4.
    fn check_number(n: u8) -> Outcome<u8> {
        check!(n > 0);
        check!(n > 1, "it is {n}");
        check_eq!(n, 3);
        let _: u8 = "256".parse()?;
        Ok(n)
    }

    #[track_caller]
    fn check_message(n: u8, expected: &str) {
        let text = check_number(n).unwrap_err().to_string();
        let (location, message) = text.split_once(": ").unwrap();
        assert!(location.starts_with(file!()), "{text}");
        assert_eq!(message, expected);
    }

    #[test]
    fn a_failure_displays_its_error_and_location() {
        check_message(0, "`n > 0` does not hold");
        check_message(1, "`n > 1` does not hold: it is 1");
        check_message(2, "`n` is 2, expected 3");
        check_message(3, "number too large to fit in target type");
    }

    #[test]
    fn propagating_a_failure_keeps_its_location() {
        fn propagate() -> Outcome {
            check_number(0)?;
            Ok(())
        }
        assert_eq!(propagate().unwrap_err().to_string(), check_number(0).unwrap_err().to_string());
    }
}
