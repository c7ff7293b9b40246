//! What administrators see of users, and what they make of them.

use auth::{
    accounts::UserFilter,
    domain::{InvalidField, Refusal},
    error::Error,
};
use chassis::identity::Caller;
use contracts::http::{ManagedUser, RolesChange, UserPage};
use uuid::Uuid;

use super::Accounts;
use crate::store::{
    directory, tokens,
    users::{self, Account},
};

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
