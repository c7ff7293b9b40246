//! Reading the bank: from memory where that is as good as the database.

use std::sync::Arc;

use contracts::http::{CategoryCount, TagCount};
use database::{Database, Result};
use uuid::Uuid;

use crate::{
    cache::{Cache, Page},
    domain::{Filter, Pool, Question, one_of},
    store::{
        counts,
        draws::{self, Draw},
        questions,
    },
};

/// Tries of a draw. A second one is needed when the question that was drawn has just gone.
const TRIES: usize = 3;

/// The bank as players read it. Clones share the memory.
#[derive(Clone)]
pub struct Reader {
    db: Database,
    cache: Cache,
}

/// A random question, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Random {
    /// One of the pool.
    Question(Arc<Question>),
    /// The pool is empty.
    Nothing,
    /// The user's account was deleted.
    UserLeft,
}

impl Reader {
    /// Reads from `db` what `cache` does not have.
    #[must_use]
    pub fn new(db: Database, cache: Cache) -> Self {
        Self { db, cache }
    }

    /// The question with that id.
    ///
    /// # Errors
    /// As the database says.
    pub async fn question(&self, id: Uuid) -> Result<Option<Arc<Question>>> {
        let load = questions::by_id(&self.db, id);
        self.cache.questions.read(&id, load).await
    }

    /// A page of a list, and the cursor of the next one.
    ///
    /// # Errors
    /// As the database says.
    pub async fn page(&self, filter: &Filter) -> Result<Arc<Page>> {
        let load = async {
            let rows = questions::list(&self.db, filter).await;
            rows.map(|rows| Some(filter.page(rows)))
        };
        let page = self.cache.pages.read(filter, load).await?;
        Ok(page.unwrap_or_default())
    }

    /// The categories that have questions.
    ///
    /// # Errors
    /// As the database says.
    pub async fn categories(&self) -> Result<Arc<Vec<CategoryCount>>> {
        let load = async { counts::categories(&self.db).await.map(Some) };
        let counts = self.cache.categories.read(&(), load).await?;
        Ok(counts.unwrap_or_default())
    }

    /// The tags that questions carry.
    ///
    /// # Errors
    /// As the database says.
    pub async fn tags(&self) -> Result<Arc<Vec<TagCount>>> {
        let load = async { counts::tags(&self.db).await.map(Some) };
        let counts = self.cache.tags.read(&(), load).await?;
        Ok(counts.unwrap_or_default())
    }

    /// One of a pool's questions, each as likely as the others; for a user none twice before all of
    /// them came.
    ///
    /// # Errors
    /// As the database says.
    pub async fn random(&self, pool: &Pool, user_id: Option<Uuid>) -> Result<Random> {
        for attempt in 0..TRIES {
            let load = async { questions::ids(&self.db, pool).await.map(Some) };
            let ids = match attempt {
                0 => self.cache.pools.read(pool, load).await?,
                // What was drawn is gone, so what is kept is old.
                _ => load.await?.map(Arc::new),
            };
            let ids = ids.unwrap_or_default();
            let drawn = match user_id {
                None => one_of(&ids, rand::random()).map_or(Draw::Nothing, Draw::Question),
                Some(user) => draws::draw(&self.db, user, pool, &ids, rand::random()).await?,
            };
            let id = match drawn {
                Draw::Question(id) => id,
                Draw::Nothing => return Ok(Random::Nothing),
                Draw::UserLeft => return Ok(Random::UserLeft),
            };
            if let Some(question) = self.question(id).await?
                && pool.has(&question)
            {
                return Ok(Random::Question(question));
            }
        }
        Ok(Random::Nothing)
    }
}
