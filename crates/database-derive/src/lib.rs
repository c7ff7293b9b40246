//! `#[derive(Record)]` for the `database` crate: a struct whose fields are columns.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Field, Fields, LitStr, Result, parse_macro_input};

/// Reads each field from the column of the same name.
///
/// `#[record(name = "…")]` names another column; `#[record(flatten)]` reads a field that is a record
/// itself from the same row.
#[proc_macro_derive(Record, attributes(record))]
pub fn record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input)
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

fn expand(input: &DeriveInput) -> Result<proc_macro2::TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "only a struct is a record",
        ));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(
            &input.ident,
            "a record's fields have names; a tuple is one by itself",
        ));
    };
    let name = &input.ident;
    let fields = fields.named.iter().map(read).collect::<Result<Vec<_>>>()?;
    Ok(quote! {
        impl ::database::Record for #name {
            fn read(row: &::database::Row<'_>) -> ::database::Result<Self> {
                ::std::result::Result::Ok(Self { #(#fields),* })
            }
        }
    })
}

/// `field: <from its column>`.
fn read(field: &Field) -> Result<proc_macro2::TokenStream> {
    let Some(name) = &field.ident else {
        return Err(Error::new_spanned(field, "a field has a name"));
    };
    let mut column = name.to_string();
    let mut flatten = false;
    for attribute in &field.attrs {
        if attribute.path().is_ident("record") {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    column = meta.value()?.parse::<LitStr>()?.value();
                    Ok(())
                } else if meta.path.is_ident("flatten") {
                    flatten = true;
                    Ok(())
                } else {
                    Err(meta.error("`name = \"…\"` or `flatten`"))
                }
            })?;
        }
    }
    Ok(if flatten {
        quote!(#name: ::database::Record::read(row)?)
    } else {
        quote!(#name: row.named(#column)?)
    })
}
