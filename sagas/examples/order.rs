//! An order is paid for and taken from stock; a refusal takes everything back. The owner and both
//! participants in one process, on SQLite: `cargo run -p sagas --example order`.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use contracts::{Payload, Recorded};
use database::{Tx, params};
use event_store::{Handler, HandlerError, Kind, NewEvent, Outbox, derived_id};
use sagas::{
    Definition, Embedded, NewSaga, Reply, Saga, Step, Undo, Workflow, WorkflowError,
    participant::{Ask, Ledger, Revoke},
};
use uuid::Uuid;

const SHOP: Outbox = Outbox::new("shop");
sagas::payloads! {
    Asked = "order.asked" { goods: String },
    Revoked = "order.revoked" { goods: String },
    Answered = "order.answered" { says: String },
}

fn about<P: Payload>(saga: Uuid, of: &str, payload: &P) -> NewEvent {
    let event = NewEvent::of(payload);
    event.stream(format!("{of}-{saga}")).aggregate(saga)
}

/// The owner: what is asked of whom, and how answers read.
struct Order(Definition);
#[async_trait]
impl Workflow for Order {
    fn definition(&self) -> &Definition {
        &self.0
    }
    fn reply_types(&self) -> &'static [&'static str] {
        &[Answered::TYPE]
    }
    fn reply(&self, recorded: &Recorded) -> Result<Option<Reply>, WorkflowError> {
        let step = recorded.event.step.clone().unwrap_or_default();
        let Answered { says } = recorded.event.payload()?;
        Ok(Some(match says.as_str() {
            "done" => Reply::done(step),
            "undone" => Reply::undone(step),
            why => Reply::refused(step, why),
        }))
    }
    fn ask(&self, saga: &Saga, of: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        let goods = saga.data()?;
        Ok(Some(about(saga.id, of, &Asked { goods })))
    }
    fn undo_ask(&self, saga: &Saga, of: &str, _: u32) -> Result<Option<NewEvent>, WorkflowError> {
        let goods = saga.data()?;
        Ok(Some(about(saga.id, of, &Revoked { goods })))
    }
}

/// A participant: takes money or goods, where some are left. What comes twice or late, the ledger knows.
struct Taker(&'static str);
#[async_trait]
impl Handler for Taker {
    fn name(&self) -> &'static str {
        self.0
    }
    fn kind(&self) -> Kind {
        Kind::Process
    }
    fn types(&self) -> &'static [&'static str] {
        &[Asked::TYPE, Revoked::TYPE]
    }
    async fn handle(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let (event, step) = (&recorded.event, self.0);
        let is_ours = event.step.as_deref() == Some(step);
        let Some(saga) = event.saga_id.filter(|_| is_ours) else {
            return Ok(());
        };
        let says = if event.event_type == Revoked::TYPE {
            if let Revoke::Undo(thing) = Ledger.revoke(tx, saga, step).await? {
                let thing: String = serde_json::from_value(thing)?;
                let sql = "UPDATE things SET count = count + 1 WHERE name = $1";
                tx.execute(sql, params![thing]).await?;
            }
            "undone".to_owned()
        } else {
            match Ledger.ask(tx, saga, step).await? {
                Ask::Do | Ask::DoForGood => take(tx, saga, step, event.payload()?).await?,
                Ask::Done(_) => "done".to_owned(),
                Ask::Refused(why) => serde_json::from_value(why)?,
                Ask::Revoked => return Ok(()),
            }
        };
        let answer = about(saga, &format!("{step}-answers"), &Answered { says });
        let id = derived_id(event.id, step, 0);
        let answer = answer.caused_by(recorded).saga(saga, step).id(id);
        SHOP.enqueue(tx, answer).await?;
        Ok(())
    }
}

async fn take(tx: &mut Tx, saga: Uuid, step: &str, ask: Asked) -> Result<String, HandlerError> {
    let thing = if step == "pay" { "money" } else { &ask.goods };
    let sql = "UPDATE things SET count = count - 1 WHERE name = $1 AND count > 0";
    if tx.execute(sql, params![thing]).await? == 0 {
        let why = format!("no {thing} is left");
        Ledger.refused(tx, saga, step, &why).await?;
        return Ok(why);
    }
    Ledger.done(tx, saga, step, &thing).await?;
    Ok("done".to_owned())
}

/// Opens a shop that has tea for one, to somebody with money for nine.
pub(crate) async fn open(folder: &Path) -> Result<Embedded, sagas::Error> {
    let definition = Definition::new("order", 1)
        .step(Step::ask("pay").undo(Undo::ask()))
        .step(Step::ask("stock").undo(Undo::ask()));
    let takers: Vec<Arc<dyn Handler>> = vec![Arc::new(Taker("pay")), Arc::new(Taker("stock"))];
    let owner = vec![Arc::new(Order(definition)) as Arc<dyn Workflow>];
    let shop = Embedded::in_folder(folder, SHOP, owner, takers).await?;
    let tables = "CREATE TABLE orders (id BLOB, goods TEXT);
        CREATE TABLE things (name TEXT, count INTEGER);
        INSERT INTO things VALUES ('money', 9), ('tea', 1)";
    for sql in tables.split(';') {
        shop.database.execute(sql, params![]).await?;
    }
    Ok(shop)
}

/// Orders, in one transaction with the order's own row, and waits for the end.
pub(crate) async fn buy(shop: &Embedded, goods: &'static str) -> Result<Saga, sagas::Error> {
    let id = Uuid::now_v7();
    let mut tx = shop.database.begin().await?;
    let sql = "INSERT INTO orders (id, goods) VALUES ($1, $2)";
    tx.execute(sql, params![id, goods]).await?;
    let order = NewSaga::new("order", id, goods.into());
    shop.engine.start(&mut tx, order).await?;
    tx.commit().await?;
    shop.ended(id).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let shop = open(folder.path()).await?;
    for goods in ["tea", "tea"] {
        let saga = buy(&shop, goods).await?;
        println!("{goods}: {} {:?}", saga.phase().as_str(), saga.state.reason);
    }
    Ok(shop.stop().await?)
}
