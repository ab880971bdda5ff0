use super::*;
use proptest::prelude::*;

fn q(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn quantities_print_canonically() {
    for (written, canonical) in [
        ("0", "0"),
        ("0n", "0"),
        ("-0", "0"),
        ("0Gi", "0"),
        ("1", "1"),
        ("+1", "1"),
        ("-1", "-1"),
        ("1000m", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.", "1"),
        ("1.5Gi", "1536Mi"),
        ("1024Ki", "1Mi"),
        ("100Mi", "100Mi"),
        ("1Gi", "1Gi"),
        ("512Ki", "512Ki"),
        ("0.5Ki", "512"),
        ("1.5Ki", "1536"),
        ("0.0001Ki", "102400u"),
        ("1024", "1024"),
        ("1000", "1k"),
        ("12000000", "12M"),
        ("100m", "100m"),
        ("0.001", "1m"),
        ("1.2345", "1234500u"),
        ("123456789", "123456789"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1e4", "10e3"),
        ("1.5e3", "1500"),
        ("1e-3", "1e-3"),
        ("1E", "1E"),
        ("1P", "1P"),
        ("2T", "2T"),
        ("3k", "3k"),
        ("0.3n", "1n"),
        ("-0.3n", "-1n"),
        ("1e-20", "1e-9"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775807"),
        ("1e1000", "9223372036854775807"),
        ("8Ei", "9223372036854775807"),
        ("7Ei", "7Ei"),
        ("1.1Ki", "1126400m"),
        ("64Gi", "64Gi"),
        ("129M", "129M"),
        ("129e6", "129e6"),
        ("123Mi", "123Mi"),
        ("128974848", "128974848"),
        ("128974848000m", "128974848"),
    ] {
        assert_eq!(q(written).to_string(), canonical, "{written}");
    }
}

#[test]
fn other_texts_are_refused() {
    use QuantityError::{Format, Suffix};
    for (text, error) in [
        ("", Format),
        (".", Format),
        ("-", Format),
        ("aoeu", Format),
        ("1.1.M", Format),
        ("1+1.0M", Suffix),
        ("0.1mi", Suffix),
        (".5i", Suffix),
        ("1i", Suffix),
        ("-3.01e-", Suffix),
        ("1KI", Suffix),
        ("1K", Suffix),
        ("1 Gi", Suffix),
        (" 1", Format),
        ("1g", Suffix),
        ("0x10", Suffix),
    ] {
        assert_eq!(text.parse::<Quantity>(), Err(error), "{text:?}");
    }
}

#[test]
fn values_are_rounded_up() {
    assert_eq!((q("1500m").value(), q("1500m").milli()), (2, 1500));
    assert_eq!((q("0.1m").value(), q("0.1m").milli()), (1, 1));
    assert_eq!(q("-1500m").value(), -2);
    assert_eq!(q("1Gi").value(), 1 << 30);
    assert_eq!(q("9E").milli(), i64::MAX);
}

#[test]
fn amounts_compare_however_they_are_written() {
    assert_eq!(q("1"), q("1000m"));
    assert_eq!(q("1Ki"), q("1024"));
    assert!(q("1Gi") > q("1G"));
    assert!(q("-1") < q("1n"));
}

#[test]
fn sums_keep_the_notation_and_stop_at_the_limit() {
    assert_eq!(q("1Gi").checked_add(q("512Mi")).unwrap().to_string(), "1536Mi");
    assert_eq!(Quantity::ZERO.checked_add(q("512Mi")).unwrap().to_string(), "512Mi");
    assert_eq!(q("1").checked_sub(q("250m")).unwrap().to_string(), "750m");
    assert_eq!(q("9223372036854775807").checked_add(q("1n")), None);
}

#[test]
fn numbers_and_strings_are_read_and_strings_are_written() {
    for (json, canonical) in
        [("1", "\"1\""), ("0.5", "\"500m\""), ("\"1Gi\"", "\"1Gi\""), ("1e-7", "\"100n\"")]
    {
        let quantity: Quantity = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&quantity).unwrap(), canonical);
    }
    assert!(serde_json::from_str::<Quantity>("true").is_err());
    assert!(serde_json::from_str::<Quantity>("\"1x\"").is_err());
}

proptest! {
    #[test]
    fn printing_and_reading_gives_the_same_amount(
        mantissa in -1_000_000_000_000i64..1_000_000_000_000, suffix in "(n|u|m|k|M|Ki|Mi|e3|e-3)?"
    ) {
        let quantity = q(&format!("{mantissa}{suffix}"));
        prop_assert_eq!(q(&quantity.to_string()), quantity);
        prop_assert_eq!(q(&quantity.to_string()).to_string(), quantity.to_string());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+]?[0-9.]{0,45}[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,4}") {
        if let Ok(quantity) = text.parse::<Quantity>() {
            prop_assert_eq!(q(&quantity.to_string()), quantity);
        }
    }
}
