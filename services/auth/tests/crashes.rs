//! A process that dies at a commit leaves nothing half done: either all of an act is there, with
//! its event, or nothing.

use std::{net::Ipv4Addr, sync::Arc};

use auth::{
    accounts::Accounts,
    error::Error,
    keys::Keys,
    limits::Client,
    store::{
        self,
        mails::{self, Ended},
    },
};
use chassis::identity::Caller;
use contracts::{
    Payload,
    events::{UserCreated, UserDeleted, UserUpdated},
    http::{
        AccountDeletion, Login, PasswordChange, PasswordForgotten, PasswordReset, RefreshToken,
        Register, Role, RolesChange, Session, Upgrade,
    },
};
use database::{Database, Options, params};
use event_store::{Log, LogOptions, MasterKeys, Outbox};
use testkit::{Backend, CommitFaults, TempDir};
use uuid::Uuid;

testkit::both_databases!(
    a_registration_is_whole_or_absent,
    an_upgrade_is_whole_or_absent,
    a_departure_is_whole_or_absent,
    a_change_of_roles_is_whole_or_absent,
    a_rotation_is_whole_or_absent,
    a_new_password_is_whole_or_absent,
    a_reset_is_whole_or_absent,
    a_mail_whose_sender_died_is_not_sent_again,
    a_mail_that_was_asked_for_outlives_a_crash,
);

/// What one process has.
struct World {
    accounts: Accounts,
    db: Database,
    faults: Arc<CommitFaults>,
    client: Client,
    _folder: TempDir,
    _backend: Backend,
}

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Before,
    After,
}

const DEATHS: [Death; 2] = [Death::Before, Death::After];

impl World {
    async fn new(backend: Backend) -> Self {
        let faults = CommitFaults::new();
        let options = Options {
            commit_hook: Some(faults.clone()),
            ..Options::default()
        };
        let db = backend.open(options).await;
        db.migrate(event_store::outbox::migrations())
            .await
            .expect("an outbox");
        db.migrate(store::migrations()).await.expect("tables");
        let folder = testkit::temp_dir();
        let keys = Keys::open(&folder.path().join("signing.pem")).expect("keys");
        let options = LogOptions {
            personal: Some(MasterKeys::parse(testkit::PERSONAL_KEYS).expect("keys")),
            ..LogOptions::default()
        };
        let log = format!("sqlite:{}", folder.path().join("log.db").display());
        let log = Log::open(&log, options).await.expect("a log");
        let outbox = Outbox::new(auth::accounts::SERVICE).sealing(&log);
        Self {
            accounts: Accounts::new(db.clone(), keys, outbox),
            db,
            faults,
            client: Client::at(Ipv4Addr::LOCALHOST.into()),
            _folder: folder,
            _backend: backend,
        }
    }

    /// Runs an act whose `n`-th commit the process does not survive, then starts it again.
    async fn dying<T>(&self, death: Death, n: u64, act: impl Future<Output = Result<T, Error>>) {
        match death {
            Death::Before => self.faults.die_before(n),
            Death::After => self.faults.die_after(n),
        }
        let outcome = act.await;
        assert!(outcome.is_err(), "a dead process answers nobody");
        assert!(self.faults.is_dead(), "it dies at commit {n}");
        self.faults.revive();
    }

    async fn registered(&self, name: &str) -> Session {
        let session = self.accounts.register(&registration(name)).await;
        session.expect("registered")
    }

    async fn login(&self, name: &str, password: &str) -> Result<Session, Error> {
        let body = Login {
            email: format!("{name}@example.org"),
            password: password.to_owned(),
        };
        self.accounts.login(&body, self.client).await
    }

    async fn can_refresh(&self, session: &Session) -> bool {
        let token = RefreshToken {
            refresh_token: session.refresh_token.clone(),
        };
        self.accounts.refresh(token, self.client).await.is_ok()
    }

    /// How many events of that type are written about the user.
    async fn events(&self, user: Uuid, event_type: &str) -> usize {
        let rows: Vec<(database::Json<serde_json::Value>,)> = self
            .db
            .fetch_all(
                "SELECT event FROM outbox WHERE stream = $1",
                params![format!("user-{user}")],
            )
            .await
            .expect("rows");
        let of_type = |event: &&(database::Json<serde_json::Value>,)| event.0["type"] == event_type;
        rows.iter().filter(of_type).count()
    }

    async fn mail_states(&self) -> Vec<String> {
        let rows: Vec<(String,)> = self
            .db
            .fetch_all("SELECT state FROM mails ORDER BY id", params![])
            .await
            .expect("rows");
        rows.into_iter().map(|(state,)| state).collect()
    }
}

fn registration(name: &str) -> Register {
    Register {
        email: format!("{name}@example.org"),
        password: "correct horse".to_owned(),
        display_name: name.to_owned(),
    }
}

fn caller(session: &Session) -> Caller {
    Caller {
        user_id: session.user.id,
        display_name: session.user.display_name.clone(),
        roles: session.user.roles.clone(),
    }
}

async fn a_registration_is_whole_or_absent(backend: Backend) {
    let world = World::new(backend).await;
    for (death, name) in [(Death::Before, "ada"), (Death::After, "bob")] {
        let body = registration(name);
        let act = world.accounts.register(&body);
        world.dying(death, 1, act).await;
        let login = world.login(name, "correct horse").await;
        assert_eq!(login.is_ok(), death == Death::After, "{death:?}");
        if let Ok(session) = login {
            assert_eq!(world.events(session.user.id, UserCreated::TYPE).await, 1);
        }
    }
}

async fn an_upgrade_is_whole_or_absent(backend: Backend) {
    let world = World::new(backend).await;
    for (death, name) in [(Death::Before, "ada"), (Death::After, "bob")] {
        let guest = world.accounts.guest().await.expect("a guest");
        let body = Upgrade {
            email: format!("{name}@example.org"),
            password: "correct horse".to_owned(),
            display_name: name.to_owned(),
        };
        let guest_caller = caller(&guest);
        world
            .dying(death, 1, world.accounts.upgrade(&guest_caller, &body))
            .await;
        let done = death == Death::After;
        assert_eq!(world.login(name, "correct horse").await.is_ok(), done);
        assert_eq!(world.can_refresh(&guest).await, !done);
        let events = world.events(guest.user.id, UserUpdated::TYPE).await;
        assert_eq!(events, usize::from(done));
    }
}

async fn a_departure_is_whole_or_absent(backend: Backend) {
    let world = World::new(backend).await;
    for (death, name) in [(Death::Before, "ada"), (Death::After, "bob")] {
        let session = world.registered(name).await;
        let body = AccountDeletion {
            password: Some("correct horse".to_owned()),
        };
        let leaver = caller(&session);
        // The first commit counts the guess at the password.
        let act = world.accounts.leave(&leaver, world.client, &body);
        world.dying(death, 2, act).await;
        let gone = death == Death::After;
        assert_eq!(world.login(name, "correct horse").await.is_err(), gone);
        assert_eq!(world.can_refresh(&session).await, !gone);
        let again = world.accounts.leave(&leaver, world.client, &body).await;
        assert_eq!(again.is_err(), gone, "what was lost can be done again");
        let events = world.events(session.user.id, UserDeleted::TYPE).await;
        assert_eq!(events, 1, "{death:?}");
    }
}

async fn a_change_of_roles_is_whole_or_absent(backend: Backend) {
    let world = World::new(backend).await;
    world
        .accounts
        .ensure_administrator(&registration("root"))
        .await
        .expect("an administrator");
    let root = world.login("root", "correct horse").await.expect("in");
    for (death, name) in [(Death::Before, "ada"), (Death::After, "bob")] {
        let session = world.registered(name).await;
        let body = RolesChange {
            roles: vec![Role::Admin],
        };
        let root = caller(&root);
        let act = world.accounts.set_roles(&root, session.user.id, &body);
        world.dying(death, 1, act).await;
        let done = death == Death::After;
        let shown = world.accounts.user(&root, session.user.id).await;
        let roles = shown.expect("shown").roles;
        assert_eq!(roles.contains(&"admin".to_owned()), done);
        assert_eq!(world.can_refresh(&session).await, !done);
        let events = world.events(session.user.id, UserUpdated::TYPE).await;
        assert_eq!(events, usize::from(done));
    }
}

async fn a_rotation_is_whole_or_absent(backend: Backend) {
    let world = World::new(backend).await;
    for death in DEATHS {
        let session = world.accounts.guest().await.expect("a guest");
        let token = RefreshToken {
            refresh_token: session.refresh_token.clone(),
        };
        let act = world.accounts.refresh(token, world.client);
        world.dying(death, 1, act).await;
        // Where the new token was lost on its way, the old one is used: the login has to begin anew.
        assert_eq!(world.can_refresh(&session).await, death == Death::Before);
    }
}

async fn a_new_password_is_whole_or_absent(backend: Backend) {
    let world = World::new(backend).await;
    for (death, name) in [(Death::Before, "ada"), (Death::After, "bob")] {
        let session = world.registered(name).await;
        let body = PasswordChange {
            current_password: "correct horse".to_owned(),
            new_password: "battery staple".to_owned(),
        };
        let user = caller(&session);
        let act = world.accounts.change_password(&user, world.client, &body);
        world.dying(death, 2, act).await;
        let done = death == Death::After;
        assert_eq!(world.login(name, "battery staple").await.is_ok(), done);
        assert_eq!(world.login(name, "correct horse").await.is_ok(), !done);
        assert_eq!(world.can_refresh(&session).await, !done);
    }
}

async fn a_reset_is_whole_or_absent(backend: Backend) {
    let world = World::new(backend).await;
    for (death, name) in [(Death::Before, "ada"), (Death::After, "bob")] {
        let session = world.registered(name).await;
        let asked = PasswordForgotten {
            email: format!("{name}@example.org"),
        };
        world
            .accounts
            .forgot(&asked, world.client)
            .await
            .expect("asked");
        let claimed = mails::claim(&world.db, std::time::Duration::from_secs(60)).await;
        let claimed = claimed.expect("claimed").expect("a mail");
        let body = PasswordReset {
            token: claimed.token.as_str().to_owned(),
            new_password: "battery staple".to_owned(),
        };
        let act = world.accounts.reset(body.clone(), world.client);
        world.dying(death, 1, act).await;
        let done = death == Death::After;
        assert_eq!(world.login(name, "battery staple").await.is_ok(), done);
        assert_eq!(world.can_refresh(&session).await, !done);
        let again = world.accounts.reset(body, world.client).await;
        assert_eq!(again.is_ok(), !done, "the token is good once");
    }
}

async fn a_mail_whose_sender_died_is_not_sent_again(backend: Backend) {
    let world = World::new(backend).await;
    world.registered("ada").await;
    let asked = PasswordForgotten {
        email: "ada@example.org".to_owned(),
    };
    world
        .accounts
        .forgot(&asked, world.client)
        .await
        .expect("asked");
    let lease = std::time::Duration::from_millis(1);
    // Dies with the mail in its hand: nobody knows whether a server got it.
    world.faults.die_after(1);
    assert!(mails::claim(&world.db, lease).await.is_err());
    world.faults.revive();
    assert_eq!(world.mail_states().await, ["sending"]);
    let none = mails::claim(&world.db, lease).await.expect("looked");
    assert!(none.is_none(), "it is somebody's");
    testkit::eventually(std::time::Duration::from_secs(10), || async {
        mails::end_lost(&world.db).await.map(|ended| ended == 1)
    })
    .await;
    assert_eq!(world.mail_states().await, ["unknown"]);
    let none = mails::claim(&world.db, lease).await.expect("looked");
    assert!(none.is_none());
}

async fn a_mail_that_was_asked_for_outlives_a_crash(backend: Backend) {
    let world = World::new(backend).await;
    world.registered("ada").await;
    let asked = PasswordForgotten {
        email: "ada@example.org".to_owned(),
    };
    for death in DEATHS {
        let act = world.accounts.forgot(&asked, world.client);
        world.dying(death, 1, act).await;
    }
    assert_eq!(world.mail_states().await, ["waiting"]);
    let lease = std::time::Duration::from_secs(60);
    let claimed = mails::claim(&world.db, lease).await.expect("looked");
    let claimed = claimed.expect("a mail");
    let later = world.db.now().await.expect("a time");
    let again = Ended::Again("451 not now".to_owned(), later);
    mails::settle(&world.db, claimed.id, &again)
        .await
        .expect("noted");
    let second = mails::claim(&world.db, lease).await.expect("looked");
    let second = second.expect("the same mail");
    assert_eq!((second.id, second.attempts), (claimed.id, 2));
    assert_ne!(
        second.token, claimed.token,
        "each attempt has a token of its own"
    );
    let sent = Ended::Sent;
    mails::settle(&world.db, second.id, &sent)
        .await
        .expect("noted");
    assert_eq!(world.mail_states().await, ["sent"]);
}
