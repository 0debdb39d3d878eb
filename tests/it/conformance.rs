//! Our own gateway under the rules of both carriers.

use libtest_mimic::Trial;
use rehearsal::conformance::{self, Verdict};

use crate::{
    answered_call::QUESTION,
    caller::{exotel_plan, line, quiet},
    sandbox::{Sandbox, Shape},
    trial,
};

pub fn trials() -> Vec<Trial> {
    vec![trial("conformance::our_gateway_breaks_no_rule_of_either_carrier", our_gateway)]
}

async fn our_gateway() {
    let sandbox = Sandbox::start(Shape::Together).await;
    let steps = vec![line(&sandbox.rehearsal.library, QUESTION, quiet()).await];
    let mut findings = conformance::run(&sandbox.plan(steps.clone())).await;
    findings.extend(conformance::run(&exotel_plan(&sandbox.layout.http, Default::default(), steps)).await);
    let table: Vec<_> = findings.iter().map(ToString::to_string).collect();
    println!("{}", table.join("\n"));
    let failed: Vec<_> =
        findings.iter().filter(|found| matches!(found.verdict, Verdict::Failed(_))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(findings.iter().filter(|found| found.verdict == Verdict::Passed).count() > 30);
    sandbox.layout.stop().await;
}
