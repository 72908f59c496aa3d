//! Reading rows of either database.

use sqlx::any::{AnyRow, AnyTypeInfo, AnyValueRef};
use sqlx::error::BoxDynError;
use sqlx::{Any, Decode, Type};

/// A row of either database.
pub(super) type Row = AnyRow;

/// A truth value: a `BOOLEAN` in PostgreSQL, an `INTEGER` in SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flag(pub bool);

impl Type<Any> for Flag {
    fn type_info() -> AnyTypeInfo {
        <bool as Type<Any>>::type_info()
    }

    fn compatible(found: &AnyTypeInfo) -> bool {
        <bool as Type<Any>>::compatible(found) || <i64 as Type<Any>>::compatible(found)
    }
}

impl<'r> Decode<'r, Any> for Flag {
    fn decode(value: AnyValueRef<'r>) -> Result<Self, BoxDynError> {
        <bool as Decode<Any>>::decode(value.clone()).or_else(|_| Ok(<i64 as Decode<Any>>::decode(value)? != 0)).map(Self)
    }
}
