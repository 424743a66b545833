use pii::{ContextValue, RowId};

#[derive(RowId)]
struct CustomerId(u32, u32);

#[derive(ContextValue)]
enum Region {
    Eu,
    Us,
}

#[derive(RowId, ContextValue)]
#[pii(name = "tenant")]
struct Tenant(String);

fn main() {}
