//! Errors as the C ABI tells them: a code and a message.

use tantivy::TantivyError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    Ok = 0,
    InvalidArgument = 1,
    /// Another writer has the directory.
    InUse = 2,
    Io = 3,
    Internal = 4,
    /// The files are not what was written.
    Damaged = 5,
    NotFound = 6,
}

#[derive(Debug)]
pub struct Error {
    pub code: Code,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error {
            code,
            message: message.into(),
        }
    }
}

impl From<TantivyError> for Error {
    fn from(error: TantivyError) -> Self {
        let code = match &error {
            TantivyError::LockFailure(..) => Code::InUse,
            TantivyError::IoError(_)
            | TantivyError::OpenDirectoryError(_)
            | TantivyError::OpenReadError(_)
            | TantivyError::OpenWriteError(_) => Code::Io,
            _ => Code::Internal,
        };
        Error::new(code, error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::new(Code::Io, error.to_string())
    }
}
