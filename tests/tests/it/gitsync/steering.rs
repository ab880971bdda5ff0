//! A repository that is kept applied as people work with it: they push, are held up, and let things through.

use orch_tests::wait_for;

use super::DEADLINE;
use super::repository::{PAGE, Shop, page};
use super::webhook::{self, TOKEN};

#[test]
fn pushes_that_are_told_are_applied_and_what_is_held_is_let_through() {
    let shop = Shop::open();
    let other = PAGE.replace("page", "other");
    let first = shop.git.push(&[("page.yaml", PAGE), ("other.yaml", &other)], "two pages");
    let secret = format!("--from-literal=token={TOKEN}");
    shop.orch.kubectl(&["create", "secret", "generic", "hook", &secret]).ok();
    shop.sync("  webhook: {secretRef: {name: hook}}\n  guards: {maxDeletes: 0}\n");
    let wait = ["gitsync", "reconcile", "shop", "--wait", "--timeout=60s"];
    let told = shop.orch.orchctl(&wait).ok();
    assert!(told.ends_with(&format!("gitsync.orch.dev/shop is ready at {}\n", &first[..12])), "{told}");
    assert_eq!(shop.title(), "one");

    // It is looked at only when that is asked for: by who pushes.
    let second = shop.git.push(&[("page.yaml", &page("two"))], "another title");
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let (code, answer) = webhook::send(&shop.orch, webhook::SHOP, &[&bearer], "");
    assert_eq!(code, 202, "{answer}");
    shop.until(&second, "True", "Applied");
    assert_eq!(shop.title(), "two");
    wait_for("the history to have it", DEADLINE, || {
        let changed = shop.orch.orchctl(&["gitsync", "diff", "shop"]).ok();
        if changed.contains("~ data.title: \"one\" -> \"two\"") { Ok(()) } else { Err(changed) }
    });

    let third = shop.git.push_without(&["other.yaml"], "one page");
    let held = shop.orch.orchctl(&wait).fails();
    let approve = format!("orchctl gitsync approve shop --revision {}", &third[..12]);
    assert!(held.contains("error: gitsync.orch.dev/shop: Held: ") && held.contains(&approve), "{held}");
    let held = shop.orch.orchctl(&["gitsync", "get", "shop"]).ok();
    assert!(held.contains("- ConfigMap default/other") && held.contains(&approve), "{held}");
    let approve: Vec<&str> = approve.split(' ').skip(1).collect();
    shop.orch.orchctl(&approve).ok();
    shop.until(&third, "True", "Applied");
    assert_eq!(shop.get(&["configmap", "other"]), None);
}
