-- The draft of a security bundle and its rules, on a node without the key of the CA. Nothing of it is PostgreSQL's.

CREATE TABLE people (id int PRIMARY KEY, owner text, ssn text, card text, born date);
----
CREATE TABLE

CREATE ROLE clerk;
----
CREATE ROLE

-- differs: ScratchBird's own
SELECT bundle_version, length(bundle_hash), created_by, superseded_at, is_whole FROM sys.security_bundle_history;
----
bundle_version	length	created_by	superseded_at	is_whole
1	64	genesis	\N	t

-- differs: ScratchBird's own
SELECT version, status FROM sys.security_bundle_convergence;
----
version	status
1	CONVERGED

-- differs: ScratchBird's own
CREATE RLS POLICY mine ON people USING (owner = current_user);
----
ERROR 55000: no draft of a security bundle is open
DETAIL: BUNDLE_NO_DRAFT: rules of the bundle are made in a draft, and take effect when it is published.
HINT: CREATE SECURITY BUNDLE opens one.

-- differs: ScratchBird's own
CREATE SECURITY BUNDLE VERSION 1;
----
ERROR 55000: version 1 would not follow the current one
DETAIL: BUNDLE_VERSION_CONFLICT: the current security bundle has version 1.

-- differs: ScratchBird's own
CREATE SECURITY BUNDLE VERSION 9 FROM VERSION 7;
----
ERROR 42704: security bundle 7 does not exist, or is not kept any more
HINT: sys.security_bundle_history lists them.

-- differs: ScratchBird's own
CREATE SECURITY BUNDLE VERSION 9 DESCRIPTION 'for a test' FROM CURRENT;
----
CREATE SECURITY BUNDLE

-- differs: ScratchBird's own
CREATE SECURITY BUNDLE;
----
ERROR 55006: a draft of a security bundle is open already
DETAIL: BUNDLE_DRAFT_OPEN: it is of admin.
HINT: Publish it, or give it up: DROP SECURITY BUNDLE DRAFT.

-- differs: ScratchBird's own
CREATE RLS POLICY mine ON people USING (owner = current_user) WITH CHECK (owner = current_user);
----
CREATE RLS POLICY

-- differs: ScratchBird's own
CREATE RLS POLICY mine ON people USING (true);
----
ERROR 42710: RLS policy "mine" for table "people" already exists in the draft

-- differs: ScratchBird's own
CREATE RLS POLICY young ON people AS RESTRICTIVE FOR SELECT TO clerk USING (born > '2000-01-01');
----
CREATE RLS POLICY

-- differs: ScratchBird's own
CREATE RLS POLICY bad ON people USING (nobody = 1);
----
ERROR 42703: column "nobody" does not exist

-- differs: ScratchBird's own
CREATE RLS POLICY bad ON people USING (id);
----
ERROR 42804: argument of POLICY must be type boolean, not type integer

-- differs: ScratchBird's own
CREATE RLS POLICY bad ON people FOR INSERT USING (true);
----
ERROR 22023: RLS policy bad: only WITH CHECK for INSERT
DETAIL: BUNDLE_INVALID: the draft is as it was.

-- differs: ScratchBird's own
CREATE RLS POLICY bad ON nothing USING (true);
----
ERROR 42P01: relation "nothing" does not exist

-- differs: ScratchBird's own
CREATE RLS POLICY bad ON people TO nobody USING (true);
----
ERROR 42704: role "nobody" does not exist

-- differs: ScratchBird's own
ALTER RLS POLICY young ON people SET USING (born > '1990-01-01');
----
ALTER RLS POLICY

-- differs: ScratchBird's own
ALTER RLS POLICY yung ON people SET USING (true);
----
ERROR 42704: RLS policy "yung" does not exist in the draft
HINT: Perhaps you meant "young".

-- differs: ScratchBird's own
CREATE MASKING FUNCTION last4(text) RETURNS text AS '****' || right(value, 4) CLASSIFICATION PCI;
----
CREATE MASKING FUNCTION

-- differs: ScratchBird's own
CREATE MASKING FUNCTION year(date) RETURNS date AS value + 1;
----
CREATE MASKING FUNCTION

-- differs: ScratchBird's own
CREATE MASKING FUNCTION len(text) RETURNS text AS length(value);
----
ERROR 42804: the expression is of type integer, not text
HINT: Cast it. The value to be masked is called value.

-- differs: ScratchBird's own
CREATE MASKING FUNCTION m(text) RETURNS text AS value CLASSIFICATION secret;
----
ERROR 22023: invalid classification: SECRET
HINT: One of PII, PCI, HIPAA, GDPR, CUSTOM.

-- differs: ScratchBird's own
CREATE CLS POLICY card ON people (card) MASK WITH last4 TO clerk;
----
CREATE CLS POLICY

-- differs: ScratchBird's own
CREATE CLS POLICY ssn ON people (ssn) DENY;
----
CREATE CLS POLICY

-- differs: ScratchBird's own
CREATE CLS POLICY again ON people (ssn) REDACT;
----
ERROR 42710: column "ssn" has the CLS policy "ssn" already

-- differs: ScratchBird's own
CREATE CLS POLICY born ON people (born) MASK WITH last4;
----
ERROR 42804: column "born" is of type date, and masking function "last4" takes text

-- differs: ScratchBird's own
CREATE CLS POLICY none ON people (none) REDACT;
----
ERROR 42703: column "none" of relation "people" does not exist

-- differs: ScratchBird's own
CREATE AUDIT RULE ddl SCOPE DDL LOG SUCCESS, FAILURE;
----
CREATE AUDIT RULE

-- differs: ScratchBird's own
CREATE AUDIT RULE people LEVEL OBJECT SCOPE DML ON public.people FOR clerk LOG PARAMETERS, ROW_COUNT;
----
CREATE AUDIT RULE

-- differs: ScratchBird's own
CREATE AUDIT RULE other LEVEL TABLE;
----
ERROR 22023: invalid LEVEL: TABLE
HINT: One of STATEMENT, OBJECT, COLUMN.

-- differs: ScratchBird's own
SELECT opened_by, bundle_version, from_version, description, rule_set, rule_name, relation, definition FROM sys.security_bundle_draft;
----
opened_by	bundle_version	from_version	description	rule_set	rule_name	relation	definition
admin	9	1	for a test	RLS	mine	public.people	{"kind": "PERMISSIVE", "roles": ["public"], "using": "(owner = CURRENT_USER)", "command": "ALL", "with_check": "(owner = CURRENT_USER)", "applies_to_owner": true}
admin	9	1	for a test	RLS	young	public.people	{"kind": "RESTRICTIVE", "roles": ["clerk"], "using": "(born > '1990-01-01'::date)", "command": "SELECT", "applies_to_owner": true}
admin	9	1	for a test	CLS	card	public.people	{"mask": "last4", "action": "MASK", "column": "card", "granted": ["clerk"]}
admin	9	1	for a test	CLS	ssn	public.people	{"action": "DENY", "column": "ssn", "granted": []}
admin	9	1	for a test	MASKING	last4	\N	{"body": "('****'::text || \\"right\\"(value, 4))", "takes": "text", "returns": "text", "classification": "PCI"}
admin	9	1	for a test	MASKING	year	\N	{"body": "(value + 1)", "takes": "date", "returns": "date", "classification": "CUSTOM"}
admin	9	1	for a test	AUDIT	ddl	\N	{"level": "STATEMENT", "scope": "DDL", "users": [], "failure": true, "objects": [], "success": true, "row_count": false, "parameters": false}
admin	9	1	for a test	AUDIT	people	\N	{"level": "OBJECT", "scope": "DML", "users": ["clerk"], "failure": false, "objects": ["public.people"], "success": false, "row_count": true, "parameters": true}

-- differs: ScratchBird's own
PUBLISH SECURITY BUNDLE VERSION 9;
----
ERROR 0A000: publishing audit rules is not supported yet
DETAIL: BUNDLE_NOT_ENFORCED: nobody would put them into effect, and a rule that is not kept is worse than none.

-- differs: ScratchBird's own
DROP MASKING FUNCTION last4;
----
ERROR 2BP01: cannot drop masking function "last4"
DETAIL: CLS policy "card" depends on it.

-- differs: ScratchBird's own
DROP CLS POLICY card ON people;
----
DROP CLS POLICY

-- differs: ScratchBird's own
DROP MASKING FUNCTION last4;
----
DROP MASKING FUNCTION

-- differs: ScratchBird's own
DROP RLS POLICY IF EXISTS none ON people;
----
NOTICE: RLS policy "none" does not exist in the draft, skipping
DROP RLS POLICY

-- differs: ScratchBird's own
DROP RLS POLICY mine ON people;
----
DROP RLS POLICY

-- differs: ScratchBird's own
DROP AUDIT RULE ddl;
----
DROP AUDIT RULE

-- differs: ScratchBird's own
SELECT rule_set, rule_name FROM sys.security_bundle_draft ORDER BY rule_set, rule_name;
----
rule_set	rule_name
AUDIT	people
CLS	ssn
MASKING	year
RLS	young

-- differs: ScratchBird's own
SET ROLE clerk;
----
SET

-- differs: ScratchBird's own
SELECT count(*) FROM sys.security_bundle_draft;
----
count
0

-- differs: ScratchBird's own
CREATE CLS POLICY x ON people (owner) DENY;
----
ERROR 42501: permission denied for cluster
DETAIL: User does not have CLUSTER_SECURITY_ADMIN privilege.

RESET ROLE;
----
RESET

-- differs: ScratchBird's own
GRANT CLUSTER_SECURITY_ADMIN ON CLUSTER TO clerk;
----
GRANT

SET ROLE clerk;
----
SET

-- differs: ScratchBird's own
DROP SECURITY BUNDLE DRAFT;
----
ERROR 42501: the draft of the security bundle is of admin
DETAIL: BUNDLE_DRAFT_OPEN: only its creator or a superuser changes, publishes or gives it up.

RESET ROLE;
----
RESET

BEGIN;
----
BEGIN

-- differs: ScratchBird's own
DROP SECURITY BUNDLE DRAFT;
----
ERROR 25001: DROP SECURITY BUNDLE cannot run inside a transaction block

ROLLBACK;
----
ROLLBACK

-- differs: ScratchBird's own
DROP SECURITY BUNDLE DRAFT;
----
DROP SECURITY BUNDLE

-- differs: ScratchBird's own
DROP SECURITY BUNDLE DRAFT;
----
ERROR 55000: no draft of a security bundle is open
DETAIL: BUNDLE_NO_DRAFT: rules of the bundle are made in a draft, and take effect when it is published.
HINT: CREATE SECURITY BUNDLE opens one.

-- differs: ScratchBird's own
CREATE SECURITY BUNDLE;
----
CREATE SECURITY BUNDLE

-- differs: ScratchBird's own
PUBLISH SECURITY BUNDLE;
----
ERROR 55000: no node that keeps the private key of the certificate authority can be reached
DETAIL: NO_CA_KEY: the key is that of CA b3539f3f3226ecdf934c2c821050686dcb77f9129c4f2613777dc53dec84bd16.
HINT: Start the node that keeps it, bring the key back from its shares (RECOVER CA KEY), or exchange the CA for one made by CREATE CA ON NODE.

-- differs: ScratchBird's own
ROLLBACK SECURITY BUNDLE TO VERSION 1;
----
ERROR 55000: security bundle 1 is the current one

-- differs: ScratchBird's own
ROLLBACK SECURITY BUNDLE TO VERSION 5;
----
ERROR 42704: security bundle 5 does not exist, or is not kept any more
HINT: sys.security_bundle_history lists them.

-- differs: ScratchBird's own
ROLLBACK SECURITY BUNDLE TO VERSION x;
----
ERROR 22023: invalid version of a security bundle: x
