//! What administrators see of users, and what they make of them.

use chassis::{Problem, http::cursor::Listing, identity::Caller};
use contracts::http::{ManagedUser, RolesChange, UserPage};
use uuid::Uuid;

use super::Accounts;
use crate::{
    domain::{InvalidField, Refusal},
    error::Error,
    store::{
        directory::{self, Wanted},
        tokens,
        users::{self, Account},
    },
};

/// Users on a page, when the client does not say.
const LIMIT_DEFAULT: u32 = 20;

/// Users on a page at most: a page is one response body, held in memory.
const LIMIT_MAX: u32 = 100;

/// Characters that are searched for at most: nobody's name is longer, and no address.
const QUERY_MAX: usize = 254;

/// Which users a list shows; checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFilter {
    query: String,
    role: &'static str,
    limit: u32,
    after: Option<Uuid>,
}

impl UserFilter {
    /// Checks a query; `role` is one of those that there are.
    ///
    /// # Errors
    /// 400 `invalid_query` or `bad_cursor`, naming the parameter.
    pub fn new(
        query: Option<&str>,
        role: Option<&'static str>,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Self, Problem> {
        let wrong = |field: &str, detail: String| {
            Err(Problem::bad_request("invalid_query", detail).field(field))
        };
        let query = query.unwrap_or_default();
        if query.chars().count() > QUERY_MAX || query.chars().any(char::is_control) {
            let detail = format!(
                "The query must have at most {QUERY_MAX} characters, none of them a control one."
            );
            return wrong("query", detail);
        }
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return wrong("limit", format!("The limit must be 1 to {LIMIT_MAX}."));
        }
        let mut filter = Self {
            query: query.to_lowercase(),
            role: role.unwrap_or_default(),
            limit,
            after: None,
        };
        if let Some(cursor) = cursor {
            filter.after = Some(
                filter
                    .listing(&[&filter.query, filter.role])
                    .place(cursor)?,
            );
        }
        Ok(filter)
    }

    fn listing<'a>(&self, filter: &'a [&'a str]) -> Listing<'a> {
        Listing {
            name: "users",
            filter,
        }
    }

    /// What a store is asked for: a row more than a page has shows whether there is another one.
    pub fn wanted(&self) -> Wanted {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Wanted {
            query: given(&self.query),
            role: given(self.role),
            after: self.after,
            limit: i64::from(self.limit) + 1,
        }
    }

    /// The page of the rows that were read as [`UserFilter::wanted`].
    pub fn page(&self, mut items: Vec<ManagedUser>) -> UserPage {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|last| self.listing(&[&self.query, self.role]).cursor(&last.id));
        UserPage { items, next_cursor }
    }
}

impl Accounts {
    /// `GET /api/admin/users`
    ///
    /// # Errors
    /// [`Refusal::NoAdministrator`].
    pub async fn users(&self, caller: &Caller, filter: &UserFilter) -> Result<UserPage, Error> {
        self.administers(caller).await?;
        let rows = directory::list(&self.db, &filter.wanted()).await?;
        Ok(filter.page(rows))
    }

    /// `GET /api/admin/users/{id}`
    ///
    /// # Errors
    /// [`Refusal::UnknownUser`], [`Refusal::NoAdministrator`].
    pub async fn user(&self, caller: &Caller, id: Uuid) -> Result<ManagedUser, Error> {
        self.administers(caller).await?;
        let found = directory::show(&self.db, id).await?;
        Ok(found.ok_or(Refusal::UnknownUser)?)
    }

    /// `PUT /api/admin/users/{id}/roles`: the user's logins end, so that the new roles count when
    /// the access tokens that are out have expired, and here at once.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::UnknownUser`], [`Refusal::GuestHasNoRoles`], [`Refusal::LastAdministrator`],
    /// [`Refusal::NoAdministrator`].
    pub async fn set_roles(
        &self,
        caller: &Caller,
        id: Uuid,
        body: &RolesChange,
    ) -> Result<ManagedUser, Error> {
        // What the document says of the list: one or two of them.
        if !(1..=2).contains(&body.roles.len()) {
            return Err(InvalidField {
                field: "roles",
                reason: "must name one or two roles",
            }
            .into());
        }
        self.administers(caller).await?;
        let mut tx = self.db.begin().await?;
        let administrators = directory::lock_with_administrators(&mut tx, id).await?;
        let account = users::lock(&mut tx, id).await?;
        let Account { user: before, .. } = account.ok_or(Refusal::UnknownUser)?;
        if before.is_guest() {
            return Err(Refusal::GuestHasNoRoles.into());
        }
        let after = before.clone().with_roles(&body.roles);
        if administrators == [id] && !after.is_administrator() {
            return Err(Refusal::LastAdministrator.into());
        }
        if after != before {
            let now = tx.now().await?;
            users::set_roles(&mut tx, &after, now).await?;
            tokens::end_all(&mut tx, id).await?;
            self.updated(&mut tx, &after).await?;
            tracing::info!(user_id = %id, by = %caller.user_id, roles = ?after.roles, "changed roles");
        }
        tx.commit().await?;
        let shown = directory::show(&self.db, id).await?;
        Ok(shown.ok_or(Refusal::UnknownUser)?)
    }

    /// The token may be some minutes old: who lost the role meanwhile has it no longer. Whoever is
    /// not known here yet is taken at the token's word, as everywhere.
    pub(super) async fn administers(&self, caller: &Caller) -> Result<(), Error> {
        match users::by_id(&self.db, caller.user_id).await? {
            Some(account) if account.user.is_administrator() => Ok(()),
            Some(_) => Err(Refusal::NoAdministrator.into()),
            None if users::is_deleted(&self.db, caller.user_id).await? => {
                Err(Refusal::AccountDeleted.into())
            }
            None => Ok(()),
        }
    }
}
