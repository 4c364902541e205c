// Package storetest is step 5's measure: the suite that every driver of
// package store passes. A driver's tests call Run; the suite calls the driver
// through store.Store only, so that callers may rely on what it shows whichever
// driver they were given.
//
// What it shows beyond the sentences of package store, and therefore holds for
// every driver:
//
//   - A statement that failed, other than by finding nothing, cannot be
//     swallowed: Update undoes its changes and returns an error even if fn
//     returns nil.
//   - A panic in fn reaches the caller of Update or View, and undoes its changes.
//   - An Update whose context ends before fn starts does nothing and returns
//     the context's error; one that has started is not stopped by its context.
//   - UpdateCommand, UpdateInvocation, PutPlugin and Seen of something that
//     is not there are ssmrun.ErrNotFound.
//   - InvokedAfter belongs to the result, InvokedBefore does not. Executing and
//     Complete together select all.
//   - Times come back in UTC with at least microseconds.
//   - An instance's or activation's id belongs to one scope; to put it into
//     another is an error.
//   - A version of a document that is not there, two versions of one name, a
//     share or review of what is not there, and the deletion of the default
//     version are errors.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ssmrun"
	"ssmrun/internal/store"
)

// Run runs the suite. open gives a store that is new and empty each time; the
// suite closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(t *testing.T, b *bundle)
	}{
		{"Commands/RoundTrip", testCommandRoundTrip},
		{"Commands/Insert", testInsertCommand},
		{"Commands/Token", testCommandByToken},
		{"Commands/Update", testUpdateCommand},
		{"Commands/List", testListCommands},
		{"Commands/Scopes", testCommandScopes},
		{"Invocations/RoundTrip", testInvocationRoundTrip},
		{"Invocations/List", testListInvocations},
		{"Invocations/After", testInvocationsAfter},
		{"Invocations/Open", testOpenInvocations},
		{"Invocations/Due", testDueInvocations},
		{"Forget", testForget},
		{"Plugins", testPlugins},
		{"Plugins/Big", testBigOutputs},
		{"Instances", testInstances},
		{"Instances/Seen", testSeen},
		{"Instances/List", testListInstances},
		{"Instances/Delete", testDeleteInstance},
		{"Instances/Versions", testAgentVersions},
		{"Documents", testDocuments},
		{"Documents/Versions", testDocumentVersions},
		{"Documents/Lists", testDocumentLists},
		{"Documents/Delete", testDeleteDocuments},
		{"Documents/Contents", testDocumentContents},
		{"Documents/Shares", testDocumentShares},
		{"Documents/Reviews", testDocumentReviews},
		{"Activations", testActivations},
		{"Activations/List", testListActivations},
		{"EC2", testEC2Instances},
		{"EC2/Stopped", testStoppedMachines},
		{"EC2/List", testListEC2IDs},
		{"Tags", testTags},
		{"Parameters", testParameters},
		{"Parameters/List", testListParameters},
		{"Roles", testRoles},
		{"Roles/Accounts", testAccounts},
		{"Pages/Stable", testPagesStable},
		{"Pages/Tokens", testPageTokens},
		{"Pages/Limit", testPageLimit},
		{"Transactions/Error", testError},
		{"Transactions/Swallowed", testSwallowed},
		{"Transactions/Panic", testPanic},
		{"Transactions/Goexit", testGoexit},
		{"Transactions/Over", testOver},
		{"Transactions/ReadOnly", testReadOnly},
		{"Transactions/OwnWrites", testOwnWrites},
		{"Transactions/Snapshot", testSnapshot},
		{"Transactions/Visible", testVisible},
		{"Transactions/Concurrent", testConcurrent},
		{"Transactions/Neighbours", testNeighbours},
		{"Transactions/Context", testContext},
		{"Transactions/ContextWhileWaiting", testContextWhileWaiting},
		{"Close", testClose},
		{"Close/Waits", testCloseWaits},
		{"Close/Race", testCloseRace},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, newBundle(t, open(t)))
		})
	}
	t.Run("Model", func(t *testing.T) {
		t.Parallel()
		testModel(t, open)
	})
}

// The scopes of the suite: they differ in the account, or in the region only.
var (
	home      = ssmrun.Scope{Account: "111111111111", Region: "us-east-1"}
	otherAcct = ssmrun.Scope{Account: "222222222222", Region: "us-east-1"}
	otherReg  = ssmrun.Scope{Account: "111111111111", Region: "eu-west-1"}
	scopes    = []ssmrun.Scope{home, otherAcct, otherReg}
)

// epoch is when the suite's commands are sent. It is of another zone than UTC
// on purpose, and has microseconds.
var epoch = time.Date(2026, 3, 4, 5, 6, 7, 123_456_000, time.FixedZone("east", 3*3600))

// at is some minutes after epoch.
func at(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }

func commandID(n int) string  { return fmt.Sprintf("%08x-1111-4111-8111-%012x", 0xfedc0000-n, n) }
func instanceID(n int) string { return fmt.Sprintf("i-%017x", n) }

// bundle is a store with ways to use it that end the test on an error.
type bundle struct {
	store.Store
	ctx context.Context
}

func newBundle(t *testing.T, s store.Store) *bundle {
	t.Helper()
	b := &bundle{Store: s, ctx: t.Context()}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// update runs fn, whose error is the test's end.
func (b *bundle) update(t *testing.T, fn func(tx store.Tx) error) {
	t.Helper()
	if err := b.Update(b.ctx, fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func (b *bundle) view(t *testing.T, fn func(tx store.Tx) error) {
	t.Helper()
	if err := b.View(b.ctx, fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// insert adds a command with one invocation per instance.
func (b *bundle) insert(t *testing.T, c *ssmrun.Command, instances ...string) {
	t.Helper()
	b.update(t, func(tx store.Tx) error { return insert(tx, c, instances...) })
}

func insert(tx store.Tx, c *ssmrun.Command, instances ...string) error {
	var invocations []ssmrun.Invocation
	for _, id := range instances {
		invocations = append(invocations, newInvocation(c, id))
	}
	return tx.InsertCommand(c, "", invocations)
}

// newCommand is a command of home with every member set.
func newCommand(id string, at time.Time) *ssmrun.Command {
	return &ssmrun.Command{
		ID: id, Scope: home, Caller: "arn:aws:iam::111111111111:user/ann", Comment: "a 'comment' – ü",
		Document: "AWS-RunShellScript", Version: "$DEFAULT", Content: `{"schemaVersion":"1.2"}`,
		Parameters:     map[string][]string{"commands": {"echo 'a'", "", "\t\"b\" <&> ü"}, "none": {}},
		InstanceIDs:    []string{instanceID(2), instanceID(1)},
		Targets:        []ssmrun.Target{{Key: "tag:Name", Values: []string{"x", "y"}}},
		RequestedAt:    at,
		ExpiresAfter:   at.Add(time.Hour),
		TimeoutSeconds: 600, MaxConcurrency: "10%", MaxErrors: "1",
		Output:      ssmrun.OutputLocation{Region: "us-east-2", Bucket: "logs", Prefix: "a/b"},
		ServiceRole: "arn:aws:iam::111111111111:role/r",
		Steps:       []ssmrun.Step{{Name: "first", Action: "aws:runShellScript"}, {Name: "second", Action: "aws:runDocument"}},
		State:       ssmrun.NewState,
		Counts:      ssmrun.Counts{Target: 2}, Turn: instanceID(1),
	}
}

func newInvocation(c *ssmrun.Command, instance string) ssmrun.Invocation {
	return ssmrun.Invocation{
		CommandID: c.ID, InstanceID: instance, Scope: c.Scope, InstanceName: "host-" + instance,
		RequestedAt: c.RequestedAt, State: ssmrun.NewState,
	}
}

func newPlugin(c *ssmrun.Command, instance, name string, index int) ssmrun.Plugin {
	return ssmrun.Plugin{
		CommandID: c.ID, InstanceID: instance, Name: name, Action: "aws:runShellScript", Index: index,
		State: ssmrun.NewState, ExitCode: ssmrun.ExitNotStarted,
	}
}

func newInstance(n int) *ssmrun.Instance {
	return &ssmrun.Instance{
		ID: instanceID(n), Scope: home, Name: fmt.Sprint("host-", n), IPAddress: "10.0.0.1", AgentName: "ssmrun-agent",
		AgentVersion: "3.3.0.0", PlatformType: "Linux", PlatformName: "Debian GNU/Linux", PlatformVersion: "12",
		ActivationID: "act", IamRole: "role", DefaultName: "web server", PublicKey: "key", Fingerprint: "print",
		RegisteredAt: at(n), LastPing: at(n + 1), KeyAt: at(n + 2),
	}
}

// state is shorthand for the states that tests use.
var (
	inProgress = ssmrun.State{Status: ssmrun.InProgress, Details: ssmrun.DetailsInProgress}
	delayed    = ssmrun.State{Status: ssmrun.Pending, Details: ssmrun.DetailsDelayed}
	success    = ssmrun.State{Status: ssmrun.Success, Details: ssmrun.DetailsSuccess}
	failed     = ssmrun.State{Status: ssmrun.Failed, Details: ssmrun.DetailsFailed}
	timedOut   = ssmrun.State{Status: ssmrun.TimedOut, Details: ssmrun.DetailsDeliveryTimedOut}
)

// same compares values; a driver may give nil for what is empty.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// notFound wants ssmrun.ErrNotFound.
func notFound(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, ssmrun.ErrNotFound) {
		t.Errorf("%s: error %v, want ssmrun.ErrNotFound", what, err)
	}
}

// commandIDs and invocationIDs make lists short enough to compare.
func commandIDs(list []ssmrun.Command) []string {
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

func invocationIDs(list []ssmrun.Invocation) [][2]string {
	var ids [][2]string
	for _, i := range list {
		ids = append(ids, [2]string{i.CommandID, i.InstanceID})
	}
	return ids
}
