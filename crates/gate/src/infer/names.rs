//! What a column's name tells about it. A name never decides alone; it breaks ties between readings
//! that the values allow.

/// The words of a name: `zipCode`, `zip_code` and `ZIP-CODE` are all `zip`, `code`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for character in name.chars() {
        let boundary = !character.is_alphanumeric() || (character.is_uppercase() && lower_before);
        if boundary && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
        lower_before = character.is_lowercase() || character.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn has(name: &str, list: &[&str]) -> bool {
    words(name).iter().any(|word| list.contains(&word.as_str()))
}

/// How much a name looks like a key's: 3 for `id` itself, 2 for `order_id`, 1 for a running number.
pub(crate) fn key_rank(name: &str) -> u8 {
    let words = words(name);
    match words.last().map(String::as_str) {
        Some("id" | "uuid" | "guid" | "key" | "pk") if words.len() == 1 => 3,
        Some("id" | "uuid" | "guid" | "key" | "pk") => 2,
        Some(
            "index" | "number" | "no" | "nr" | "row" | "rowid" | "code" | "sku" | "isbn" | "serial"
            | "identifier",
        ) => 1,
        Some(
            "userid" | "customerid" | "orderid" | "productid" | "itemid" | "accountid"
            | "transactionid",
        ) => 1,
        _ => 0,
    }
}

/// Digits under such a name are a code and no amount: nobody adds up telephone numbers.
pub(crate) fn is_code(name: &str) -> bool {
    const CODES: [&str; 30] = [
        "zip",
        "zipcode",
        "postal",
        "postcode",
        "plz",
        "phone",
        "phonenumber",
        "tel",
        "telephone",
        "mobile",
        "cell",
        "fax",
        "ssn",
        "iban",
        "bic",
        "isbn",
        "ean",
        "upc",
        "gtin",
        "sku",
        "vat",
        "npi",
        "imei",
        "serial",
        "barcode",
        "cvv",
        "pin",
        "account",
        "card",
        "fips",
    ];
    has(name, &CODES)
}

/// An amount of money.
pub(crate) fn is_money(name: &str) -> bool {
    const MONEY: [&str; 22] = [
        "amount", "price", "cost", "total", "subtotal", "fee", "salary", "balance", "revenue",
        "payment", "paid", "tax", "net", "gross", "discount", "charge", "budget", "income",
        "sales", "wage", "turnover", "fare",
    ];
    has(name, &MONEY)
}

/// Something that is or is not.
pub(crate) fn is_flag(name: &str) -> bool {
    let words = words(name);
    matches!(
        words.first().map(String::as_str),
        Some("is" | "has" | "can" | "was" | "should")
    ) || matches!(
        words.last().map(String::as_str),
        Some("flag" | "enabled" | "active" | "deleted")
    )
}

/// A day.
pub(crate) fn is_day(name: &str) -> bool {
    has(name, &["date", "day", "dt", "dob", "birthday", "datum"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_style() {
        assert_eq!(words("ZipCode"), ["zip", "code"]);
        assert_eq!(words("order_line-ID"), ["order", "line", "id"]);
        assert_eq!(
            (
                key_rank("ID"),
                key_rank("orderId"),
                key_rank("index"),
                key_rank("paid")
            ),
            (3, 2, 1, 0)
        );
        assert!(is_code("PhoneNumber") && is_code("zip_5") && !is_code("city"));
        assert!(is_money("unitPrice") && is_flag("is_open") && is_day("order-date"));
    }
}
