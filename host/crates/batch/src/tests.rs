//! Columns that lie are refused; everything else keeps its records through every operation.

use super::*;

fn mixed() -> Batch {
    let mut batch = Batch::default();
    batch.push(None, b"a", None);
    batch.push(Some(b"k"), b"", Some(7));
    batch.push(Some(b""), b"ccc", None);
    batch.push(None, b"dd", Some(9));
    batch
}

fn records(batch: &Batch) -> Vec<RecordRef<'_>> {
    batch.iter().collect()
}

#[test]
fn the_iterator_and_the_index_agree() {
    let batch = mixed();
    for (i, record) in batch.iter().enumerate() {
        assert_eq!(record, RecordRef { key: batch.key(i), value: batch.value(i), timestamp: batch.timestamp(i) });
    }
    assert_eq!(batch.iter().len(), 4);
}

#[test]
fn columns_survive_the_round_trip() {
    let batch = mixed();
    assert_eq!(Batch::from_columns(batch.clone().into_columns()), Ok(batch));
}

#[test]
fn append_is_the_same_as_pushing_one_by_one() {
    let plain: Batch = [(None::<&str>, "x"), (None, "y")].into_iter().collect();
    for (left, right) in
        [(mixed(), plain.clone()), (plain.clone(), mixed()), (mixed(), mixed()), (plain.clone(), plain)]
    {
        let mut joined = left.clone();
        joined.append(&right);
        let mut expected = records(&left);
        expected.extend(records(&right));
        assert_eq!(records(&joined), expected);
        assert_eq!(Batch::from_columns(joined.clone().into_columns()), Ok(joined));
    }
}

#[test]
fn slices_and_selections_keep_keys_and_timestamps() {
    let batch = mixed();
    assert_eq!(records(&batch.slice(1..3)), records(&batch)[1..3]);
    let odd = batch.select(|i| i % 2 == 1);
    assert_eq!(records(&odd), vec![records(&batch)[1], records(&batch)[3]]);
}

#[test]
fn stamping_leaves_known_timestamps_alone() {
    let mut batch = mixed();
    batch.stamp(100);
    let stamped: Vec<_> = batch.iter().map(|r| r.timestamp).collect();
    assert_eq!(stamped, [Some(100), Some(7), Some(100), Some(9)]);
}

#[test]
fn columns_that_lie_are_refused() {
    let refused = |columns| Batch::from_columns(columns).expect_err("must be refused");
    let base = || mixed().into_columns();
    assert!(matches!(
        refused(Columns { value_ends: vec![1, 0, 4, 6], ..base() }),
        BatchError::End { column: "value", record: 1, .. }
    ));
    assert!(matches!(refused(Columns { value_ends: vec![1, 1, 4, 7], ..base() }), BatchError::End { record: 3, .. }));
    assert!(matches!(refused(Columns { value_ends: vec![1, 1, 4, 5], ..base() }), BatchError::Rest { extra: 1, .. }));
    assert!(matches!(refused(Columns { timestamps: vec![1], ..base() }), BatchError::Length { entries: 1, .. }));
    assert!(matches!(
        refused(Columns { key_ends: vec![NO_KEY, 2, 2, NO_KEY], ..base() }),
        BatchError::End { column: "key", .. }
    ));
    assert!(matches!(refused(Columns { key_ends: vec![], ..base() }), BatchError::Rest { column: "key", .. }));
}
