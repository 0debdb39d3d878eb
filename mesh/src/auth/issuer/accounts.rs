//! The realm's accounts: groups, and clients and users in them, as far as tenancy asks for them. Kept in one file that
//! is replaced as a whole with every change.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{IssuerError, files, new_secret, subject_of};
use crate::auth::{claims::TENANT_RIGHTS, role_name};

/// The group of all tenants, which the realm file makes.
const ROOT: &str = "tenants";

/// What is in the realm.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Accounts {
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) clients: BTreeMap<String, Client>,
    pub(super) users: BTreeMap<String, User>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) parent: Option<String>,
    pub(super) name: String,
    /// Names of realm roles.
    pub(super) roles: BTreeSet<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) client_id: String,
    pub(super) secret: String,
    pub(super) enabled: bool,
    /// Its service account's user.
    pub(super) user: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) username: String,
    pub(super) email: Option<String>,
    pub(super) groups: BTreeSet<String>,
}

impl Accounts {
    /// The group of all tenants, and below it that of the tenant `demo`, which comes with every node that runs this.
    fn new() -> Self {
        let root = Group { parent: None, name: ROOT.to_owned(), roles: BTreeSet::new() };
        let root_id = Uuid::new_v4().to_string();
        let groups = BTreeMap::from([(root_id.clone(), root)]);
        let mut accounts = Self { groups, clients: BTreeMap::new(), users: BTreeMap::new() };
        let demo = accounts.add_group(&root_id, "demo").unwrap_or_default();
        for (name, role) in TENANT_RIGHTS {
            let id = accounts.add_group(&demo, name).unwrap_or_default();
            let roles = BTreeSet::from([role_name(role).to_owned()]);
            accounts.groups.entry(id).and_modify(|group| group.roles = roles);
        }
        accounts
    }

    /// A group's full path, `/tenants/acme/admins`.
    pub(super) fn path_of(&self, id: &str) -> String {
        let Some(group) = self.groups.get(id) else { return String::new() };
        let parent = group.parent.as_deref().map(|parent| self.path_of(parent)).unwrap_or_default();
        format!("{parent}/{}", group.name)
    }

    pub(super) fn group_at(&self, path: &str) -> Option<(&String, &Group)> {
        self.groups.iter().find(|(id, _)| self.path_of(id) == path)
    }

    /// Makes a sub-group; `None` if there is one of that name.
    pub(super) fn add_group(&mut self, parent: &str, name: &str) -> Option<String> {
        let taken = |group: &Group| group.parent.as_deref() == Some(parent) && group.name == name;
        if self.groups.values().any(taken) {
            return None;
        }
        let id = Uuid::new_v4().to_string();
        let parent = Some(parent.to_owned());
        self.groups.insert(id.clone(), Group { parent, name: name.to_owned(), roles: BTreeSet::new() });
        Some(id)
    }

    /// Removes a group with all that is below it, and everybody from them.
    pub(super) fn remove_group(&mut self, id: &str) {
        self.groups.remove(id);
        for user in self.users.values_mut() {
            user.groups.remove(id);
        }
        let below = |group: &Group| group.parent.as_deref() == Some(id);
        let children: Vec<String> =
            self.groups.iter().filter(|(_, group)| below(group)).map(|(id, _)| id.clone()).collect();
        for child in children {
            self.remove_group(&child);
        }
    }

    /// Makes a client with its service account's user; `None` if there is one of that id.
    pub(super) fn add_client(&mut self, client_id: &str) -> Option<String> {
        if self.client(client_id).is_some() {
            return None;
        }
        let user = subject_of(client_id);
        let username = format!("service-account-{client_id}");
        self.users.insert(user.clone(), User { username, email: None, groups: BTreeSet::new() });
        let client = Client { client_id: client_id.to_owned(), secret: new_secret(), enabled: true, user };
        let id = Uuid::new_v4().to_string();
        self.clients.insert(id.clone(), client);
        Some(id)
    }

    pub(super) fn remove_client(&mut self, id: &str) -> Option<()> {
        let client = self.clients.remove(id)?;
        self.users.remove(&client.user);
        Some(())
    }

    pub(super) fn client(&self, client_id: &str) -> Option<&Client> {
        self.clients.values().find(|client| client.client_id == client_id)
    }

    /// Makes a person; `None` if there is one with that address.
    pub(super) fn add_person(&mut self, email: &str) -> Option<String> {
        let email = email.to_lowercase();
        if self.users.values().any(|user| user.email.as_deref() == Some(&email) || user.username == email) {
            return None;
        }
        let id = Uuid::new_v4().to_string();
        let user = User { username: email.clone(), email: Some(email), groups: BTreeSet::new() };
        self.users.insert(id.clone(), user);
        Some(id)
    }

    /// The paths of a user's groups, and the realm roles that those carry.
    pub(super) fn rights_of(&self, user: &str) -> (Vec<String>, BTreeSet<String>) {
        let groups = self.users.get(user).map(|user| &user.groups).into_iter().flatten();
        let (mut paths, mut roles) = (Vec::new(), BTreeSet::new());
        for id in groups {
            paths.push(self.path_of(id));
            roles.extend(self.groups.get(id).into_iter().flat_map(|group| group.roles.iter().cloned()));
        }
        (paths, roles)
    }
}

/// The accounts and their file.
pub(super) struct Store {
    file: PathBuf,
    accounts: Mutex<Accounts>,
}

impl Store {
    pub(super) fn open(file: PathBuf) -> Result<Self, IssuerError> {
        let text = files::keep(&file, || {
            serde_json::to_string(&Accounts::new()).map_err(|_| IssuerError::Damaged(file.clone()))
        })?;
        let accounts = serde_json::from_str(&text).map_err(|_| IssuerError::Damaged(file.clone()))?;
        Ok(Self { file, accounts: Mutex::new(accounts) })
    }

    pub(super) fn read(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change, in the file first. A change that says no changes nothing.
    pub(super) fn change<T, E: From<IssuerError>>(
        &self,
        make: impl FnOnce(&mut Accounts) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut current = self.read();
        let mut next = current.clone();
        let made = make(&mut next)?;
        let text = serde_json::to_string(&next).map_err(|_| IssuerError::Damaged(self.file.clone()))?;
        files::replace(&self.file, &text)?;
        *current = next;
        Ok(made)
    }
}
