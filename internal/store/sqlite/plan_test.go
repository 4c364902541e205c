package sqlite

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// TestQueryPlans runs every read, lists with every set of conditions that the
// service's operations can ask for, and looks at SQLite's plans: none may walk
// a whole table, and only a list that has no index of its order may sort.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	db := testDB(t)
	ctx := context.Background()
	now := time.Now()
	c := &ssmrun.Command{ID: "c", Scope: testScope, RequestedAt: now, State: ssmrun.NewState}
	invocation := ssmrun.Invocation{CommandID: "c", InstanceID: "i", Scope: testScope, RequestedAt: now, State: ssmrun.NewState}
	if err := db.Update(ctx, func(tx store.Tx) error {
		for _, id := range []string{"i", "j"} {
			if err := tx.PutInstance(&ssmrun.Instance{ID: id, Scope: testScope}); err != nil {
				return err
			}
		}
		other := *c
		other.ID = "d"
		otherInvocation := invocation
		otherInvocation.CommandID = "d"
		return errors.Join(
			tx.InsertCommand(c, "t", []ssmrun.Invocation{invocation, {CommandID: "c", InstanceID: "j", Scope: testScope, RequestedAt: now}}),
			tx.InsertCommand(&other, "", []ssmrun.Invocation{otherInvocation}),
			tx.UpdateCommand(c), tx.UpdateInvocation(&invocation), tx.Seen(testScope, "i", now, false), tx.DeleteActivation("a"), forget(tx, now),
			tx.RemoveTags(testScope, "Document", "d", []string{"k"}), tx.DropTags(testScope, "Document", "d"), putDocument(tx, "d", 1),
			tx.PutDocumentVersion(testScope, "d", &ssmrun.DocumentVersion{Number: 2}),
			tx.RemoveDocumentShare(testScope, "d", "a"), tx.DeleteDocumentVersion(testScope, "d", 2), tx.DeleteDocument(testScope, "d"),
			tx.PutInstance(&ssmrun.Instance{ID: "k", Scope: testScope}), tx.DeleteInstance(testScope, "k"), tx.DropEC2Instance("i"),
			tx.PutParameter(&store.Parameter{Name: "/a/b", Scope: testScope, Version: 1}, 1),
			tx.PutParameter(&store.Parameter{Name: "/a/b", Scope: testScope, Version: 2}, 1),
			tx.PutParameter(&store.Parameter{Name: "/a/c", Scope: testScope, Version: 1}, 1),
			tx.PutParameter(&store.Parameter{Name: "/gone", Scope: testScope, Version: 1}, 1),
			tx.DeleteParameter(testScope, "/gone"),
			tx.PutRole(&store.Role{Account: testScope.Account, Name: "r"}), tx.PutRole(&store.Role{Account: testScope.Account, Name: "s"}),
			tx.PutRole(&store.Role{Account: testScope.Account, Name: "gone"}), tx.DeleteRole(testScope.Account, "gone"))
	}); err != nil {
		t.Fatal(err)
	}
	for _, fn := range []func(tx store.Tx) error{
		func(tx store.Tx) error { _, err := tx.Command(testScope, "c"); return err },
		func(tx store.Tx) error { _, err := tx.CommandByToken(testScope, "", "t"); return err },
		func(tx store.Tx) error { _, err := tx.Invocation(testScope, "c", "i"); return err },
		func(tx store.Tx) error { _, err := tx.InvocationsAfter(testScope, "c", "", 10); return err },
		func(tx store.Tx) error { _, err := tx.CountOpenInvocations(testScope); return err },
		func(tx store.Tx) error { _, err := tx.OpenInvocations(testScope, "i"); return err },
		func(tx store.Tx) error { _, err := tx.DueInvocations(now, 10); return err },
		func(tx store.Tx) error { _, _, err := tx.NextDue(); return err },
		func(tx store.Tx) error { _, err := tx.Plugins(testScope, "c", "i"); return err },
		func(tx store.Tx) error { _, err := tx.Instance(testScope, "i"); return err },
		func(tx store.Tx) error { _, err := tx.FindInstance("i"); return err },
		func(tx store.Tx) error { _, err := tx.Document(testScope, "d"); return err },
		func(tx store.Tx) error { _, err := tx.CountDocuments(testScope); return err },
		func(tx store.Tx) error { _, err := tx.ListDocuments(testScope); return err },
		func(tx store.Tx) error { _, err := tx.DocumentVersion(testScope, "d", ""); return err },
		func(tx store.Tx) error { _, err := tx.DocumentVersion(testScope, "d", "$LATEST"); return err },
		func(tx store.Tx) error { _, err := tx.DocumentVersion(testScope, "d", "1"); return err },
		func(tx store.Tx) error { _, err := tx.NamedDocumentVersion(testScope, "d", "n"); return err },
		func(tx store.Tx) error { _, err := tx.DocumentVersions(testScope, "d"); return err },
		func(tx store.Tx) error { _, err := tx.DocumentShares(testScope, "d"); return err },
		func(tx store.Tx) error { _, err := tx.SharedDocuments(testScope.Region, "a"); return err },
		func(tx store.Tx) error { _, err := tx.DocumentReviews(testScope, "d", 1); return err },
		func(tx store.Tx) error { _, err := tx.Activation("a"); return err },
		func(tx store.Tx) error { _, err := tx.ActivationsOf("i"); return err },
		func(tx store.Tx) error { _, err := tx.AgentVersions(testScope, "n"); return err },
		func(tx store.Tx) error { _, err := tx.FindEC2Instance("i"); return err },
		func(tx store.Tx) error { _, err := tx.EC2Instances(testScope, nil); return err },
		func(tx store.Tx) error { _, err := tx.EC2Instances(testScope, []string{"i"}); return err },
		func(tx store.Tx) error { _, err := tx.EC2State(testScope, "i"); return err },
		func(tx store.Tx) error { _, _, err := tx.ListEC2IDs(testScope, now, store.Page{Limit: 1}); return err },
		func(tx store.Tx) error { return listActivations(tx) },
		func(tx store.Tx) error { _, err := tx.Tags(testScope, "Document", "d"); return err },
		func(tx store.Tx) error { _, err := tx.TaggedIDs(testScope, "Document", "k", nil); return err },
		func(tx store.Tx) error { _, err := tx.TaggedIDs(testScope, "Document", "k", []string{"v"}); return err },
		func(tx store.Tx) error { _, err := tx.Parameter(testScope, "/a/b", 0); return err },
		func(tx store.Tx) error { _, err := tx.Parameter(testScope, "/a/b", 2); return err },
		func(tx store.Tx) error { _, err := tx.CountParameters(testScope); return err },
		func(tx store.Tx) error { _, err := tx.Role(testScope.Account, "r"); return err },
		func(tx store.Tx) error {
			_, _, err := tx.ListRoles(testScope.Account, store.Page{Limit: 1})
			return err
		},
		func(tx store.Tx) error { return listAll(tx, now) },
	} {
		if err := db.View(ctx, fn); err != nil && !errors.Is(err, ssmrun.ErrNotFound) {
			t.Fatal(err)
		}
	}
	texts := map[string]bool{}
	for range cap(db.readers) { // all are free
		r := <-db.readers
		if r.c != nil {
			for text := range r.c.statements {
				texts[text] = true
			}
		}
		defer func() { db.readers <- r }()
	}
	for text := range db.write.statements {
		texts[text] = true
	}
	looked := 0
	for text := range texts {
		switch strings.Fields(text)[0] {
		case "SELECT", "UPDATE", "DELETE":
			looked++
			checkPlan(t, db.write, text)
		}
	}
	t.Logf("%d plans", looked)
	if looked < 250 {
		t.Errorf("only %d plans were looked at", looked)
	}
}

// forget makes the plans of Forget.
func forget(tx store.Tx, now time.Time) error {
	c := &ssmrun.Command{ID: "old", Scope: testScope, RequestedAt: now.Add(-time.Hour), State: ssmrun.State{Status: ssmrun.Success}}
	err := tx.InsertCommand(c, "", []ssmrun.Invocation{{CommandID: "old", InstanceID: "i", Scope: testScope, RequestedAt: c.RequestedAt}})
	if err == nil {
		err = tx.PutPlugin(testScope, &ssmrun.Plugin{CommandID: "old", InstanceID: "i"})
	}
	if err == nil {
		_, err = tx.Forget(now, 100)
	}
	return err
}

// listAll asks for lists with every combination of conditions, twice: from
// their beginning and from a token on.
func listAll(tx store.Tx, now time.Time) error {
	for n := range 4 << 6 {
		status, bits := []string{"Pending", "Failed", "Success", "DeliveryTimedOut"}[n>>6], n%(1<<6)
		var q store.CommandQuery
		for bit, set := range []func(){
			func() { q.CommandID = "c" }, func() { q.InstanceID = "i" },
			func() { q.InvokedAfter, q.InvokedBefore = now.Add(-time.Hour), now.Add(time.Hour) }, func() { q.Statuses = []string{status} }, func() { q.Document = "d" },
			func() { q.Executing = true },
		} {
			if bits&(1<<bit) != 0 {
				set()
			}
		}
		for _, token := range []string{"", position{List: commandList, Newest: newestFirst(now), N: 1}.token()} {
			if _, _, err := tx.ListCommands(testScope, q, store.Page{Limit: 1, Token: token}); err != nil {
				return err
			}
		}
		for _, token := range []string{"", position{List: invocationList, Newest: newestFirst(now), N: 1, Instance: "i"}.token()} {
			if _, _, err := tx.ListInvocations(testScope, q, store.Page{Limit: 1, Token: token}); err != nil {
				return err
			}
		}
	}
	for _, q := range []store.InstanceQuery{{}, {IDs: []string{"i"}}, {AnyState: true}, {PlatformTypes: []string{"Linux"}}} {
		_, next, err := tx.ListInstances(testScope, q, store.Page{Limit: 1})
		if err == nil && next != "" {
			_, _, err = tx.ListInstances(testScope, q, store.Page{Limit: 1, Token: next})
		}
		if err != nil {
			return err
		}
	}
	for _, q := range []store.ParameterQuery{
		{},
		{Under: []string{"/a/"}},
		{Under: []string{"/a/"}, Deep: true},
		{Under: []string{"/a/", "/b/"}},
		{Under: []string{"/"}},
		{Names: []string{"/a/b", "/a/c"}},
		{Prefixes: []string{"/a"}},
		{Parts: []string{"a"}},
		{Types: []string{""}},
		{KeyIDs: []string{""}},
		{KeyIDPrefixes: []string{""}},
		{Tiers: []string{""}, DataTypes: []string{""}},
	} {
		_, next, err := tx.ListParameters(testScope, q, store.Page{Limit: 1})
		if err == nil && next != "" {
			_, _, err = tx.ListParameters(testScope, q, store.Page{Limit: 1, Token: next})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// listActivations asks for lists from their beginning and from a token on.
func listActivations(tx store.Tx) error {
	for _, q := range []store.ActivationQuery{{}, {IDs: []string{"a"}}, {DefaultNames: []string{"n"}}, {IamRoles: []string{"r"}}} {
		for _, token := range []string{"", position{List: activationList, ID: "a"}.token()} {
			if _, _, err := tx.ListActivations(testScope, q, store.Page{Limit: 1, Token: token}); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkPlan(t *testing.T, c *conn, text string) {
	t.Helper()
	rows, err := c.sql.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+text, make([]any, strings.Count(text, "?"))...)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	// The plugins of one invocation are few.
	sorts := strings.Contains(text, "FROM plugins")
	for _, step := range plan {
		// There are few scopes.
		walks := strings.HasPrefix(step, "SCAN ") && step != "SCAN scopes" && !strings.Contains(step, "json_each") &&
			!strings.Contains(step, "USING INDEX invocations_due") && !strings.Contains(step, "USING COVERING INDEX invocations_due")
		if walks || strings.Contains(step, "TEMP B-TREE") && !sorts {
			t.Errorf("plan of\n%s\n%s", text, strings.Join(plan, "\n"))
			return
		}
	}
}
