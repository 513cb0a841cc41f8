//! The whole published table through our own format. Skipped where the table is absent; with `CI=true` that fails.

use std::path::PathBuf;

use apq_lut::{CostModel, Operator, Table, diff, import_published};

#[test]
fn the_published_table_survives_our_format() {
    let folder =
        std::env::var_os("APQ_DATA").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join("apq_bitfusion_b1.json");
    let Ok(published) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{} is not there", path.display());
        println!("skipped: {} is not there", path.display());
        return;
    };
    let table = import_published(&published).unwrap();
    assert_eq!((table.name(), table.len()), ("bitfusion", 6569));
    let count = |operator| table.keys().filter(|key| key.operator == operator).count();
    assert_eq!(count(Operator::Conv), 3015 + 2);
    assert_eq!(count(Operator::Depthwise), 3552);

    let text = table.to_json().unwrap();
    let again = Table::from_json(&text).unwrap();
    assert_eq!(again, table);
    assert_eq!(again.to_json().unwrap(), text);
    let same = diff(&table, &again).unwrap();
    assert_eq!((same.compared, same.cycles_mismatched), (6569, 0));
    assert_eq!((same.latency_rel_max, same.energy_rel_max), (Some(0.0), Some(0.0)));
    for (key, entry) in table.iter() {
        assert_eq!(again.cost(key), Ok(entry.cost));
    }
}
