package storetest

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"ssmrun"
	"ssmrun/internal/store"
)

// operation draws a write or, as often, a read.
func operation(rt *rapid.T) op {
	if rapid.Bool().Draw(rt, "read") {
		return reading(rt)
	}
	return writing(rt)
}

// wrote is an operation that answers only with its error.
func wrote(name string, do func(tx store.Tx) error) op {
	return op{name, func(tx store.Tx) (any, error) { return nil, do(tx) }}
}

func writing(rt *rapid.T) op {
	scope := someScope.Draw(rt, "scope")
	command, instance := someCommand.Draw(rt, "command"), someInstance.Draw(rt, "instance")
	switch rapid.IntRange(0, 22).Draw(rt, "write") {
	case 0, 1:
		return drawInsert(rt, scope, command)
	case 2:
		c := ssmrun.Command{ID: command, Scope: scope, State: someState.Draw(rt, "state"), Counts: someCounts.Draw(rt, "counts")}
		return op{"UpdateCommand " + command, func(tx store.Tx) (any, error) {
			c := c
			err := tx.UpdateCommand(&c)
			return c.Revision, err
		}}
	case 3:
		i := drawInvocation(rt, scope, command, instance)
		return wrote("UpdateInvocation", func(tx store.Tx) error { return tx.UpdateInvocation(&i) })
	case 4:
		p := drawPlugin(rt, command, instance, someName.Draw(rt, "name"))
		return wrote("PutPlugin", func(tx store.Tx) error { return tx.PutPlugin(scope, &p) })
	case 16:
		before, rows := someTime.Draw(rt, "before"), rapid.SampledFrom([]int{1, 2, 100}).Draw(rt, "rows")
		return wrote("Forget", func(tx store.Tx) error {
			for {
				more, err := tx.Forget(before, rows)
				if err != nil || !more {
					return err
				}
			}
		})
	case 5:
		i := ssmrun.Instance{
			ID: instance, Scope: scope, Name: someText.Draw(rt, "name"), IPAddress: someText.Draw(rt, "address"),
			AgentName: someName.Draw(rt, "agent"), AgentVersion: someName.Draw(rt, "version"), PlatformType: someName.Draw(rt, "platform"),
			PlatformName: someText.Draw(rt, "os"), PlatformVersion: someText.Draw(rt, "os version"), ActivationID: someName.Draw(rt, "activation"),
			IamRole: someName.Draw(rt, "role"), PublicKey: someText.Draw(rt, "key"), Fingerprint: someText.Draw(rt, "print"),
			RegisteredAt: maybeTime.Draw(rt, "registered"), LastPing: maybeTime.Draw(rt, "ping"), KeyAt: maybeTime.Draw(rt, "key changed"), Stopped: rapid.Bool().Draw(rt, "stopped"),
			DefaultName: someText.Draw(rt, "default name"),
		}
		return wrote("PutInstance "+instance, func(tx store.Tx) error { return tx.PutInstance(&i) })
	case 6:
		at, stopped := maybeTime.Draw(rt, "at"), rapid.Bool().Draw(rt, "stopped")
		return wrote("Seen", func(tx store.Tx) error { return tx.Seen(scope, instance, at, stopped) })
	case 7, 12, 13, 14, 15:
		return drawDocumentWrite(rt, scope)
	case 8:
		a := store.Activation{
			ID: someName.Draw(rt, "id"), Scope: scope, CodeHash: rapid.SliceOf(rapid.Byte()).Draw(rt, "hash"),
			IamRole: someName.Draw(rt, "role"), Description: someText.Draw(rt, "description"), DefaultName: someText.Draw(rt, "name"),
			InstanceID: rapid.OneOf(someText, someInstance).Draw(rt, "instance"), Limit: rapid.Int().Draw(rt, "limit"), Count: rapid.Int().Draw(rt, "count"),
			CreatedAt: maybeTime.Draw(rt, "created"), ExpiresAt: maybeTime.Draw(rt, "expires"), ForgetsAfter: rapid.Bool().Draw(rt, "forgets"),
			Tags: rapid.MapOfN(someText, someText, 0, 2).Draw(rt, "tags"),
		}
		return wrote("PutActivation "+a.ID, func(tx store.Tx) error { return tx.PutActivation(&a) })
	case 9, 10:
		return drawTags(rt, scope)
	case 17, 18, 19:
		return drawEC2(rt, scope)
	case 20, 21:
		return drawParameters(rt, scope)
	case 22:
		return drawRoles(rt, scope)
	default:
		id := someName.Draw(rt, "id")
		return wrote("DeleteActivation "+id, func(tx store.Tx) error { return tx.DeleteActivation(id) })
	}
}

func drawInsert(rt *rapid.T, scope ssmrun.Scope, id string) op {
	texts := rapid.SliceOf(someText)
	c := ssmrun.Command{
		ID: id, Scope: scope, Caller: someCaller.Draw(rt, "caller"), Comment: someText.Draw(rt, "comment"),
		Document: someDocument.Draw(rt, "document"), Version: someText.Draw(rt, "version"), Content: someText.Draw(rt, "content"),
		Parameters:  rapid.MapOfN(someText, texts, 0, 3).Draw(rt, "parameters"),
		InstanceIDs: texts.Draw(rt, "instance ids"), Targets: []ssmrun.Target{{Key: someText.Draw(rt, "key"), Values: texts.Draw(rt, "values")}},
		RequestedAt: someTime.Draw(rt, "requested"), ExpiresAfter: maybeTime.Draw(rt, "expires"),
		TimeoutSeconds: rapid.Int().Draw(rt, "timeout"), MaxConcurrency: someText.Draw(rt, "concurrency"), MaxErrors: someText.Draw(rt, "errors"),
		Output: someOutput.Draw(rt, "output"), ServiceRole: someText.Draw(rt, "role"),
		State: someState.Draw(rt, "state"), Counts: someCounts.Draw(rt, "counts"), Revision: rapid.Int64Range(0, 100).Draw(rt, "revision"),
		Steps: []ssmrun.Step{{Name: someText.Draw(rt, "step"), Action: someText.Draw(rt, "action")}}, Turn: someText.Draw(rt, "turn"),
	}
	token := someToken.Draw(rt, "token")
	var invocations []ssmrun.Invocation
	for _, on := range rapid.SliceOfNDistinct(someInstance, 0, 3, rapid.ID[string]).Draw(rt, "instances") {
		i := drawInvocation(rt, scope, id, on)
		i.RequestedAt = c.RequestedAt
		invocations = append(invocations, i)
	}
	return wrote("InsertCommand "+id+" "+token, func(tx store.Tx) error {
		return tx.InsertCommand(&c, token, slices.Clone(invocations))
	})
}

func drawInvocation(rt *rapid.T, scope ssmrun.Scope, command, instance string) ssmrun.Invocation {
	return ssmrun.Invocation{
		CommandID: command, InstanceID: instance, Scope: scope, InstanceName: someText.Draw(rt, "name"),
		RequestedAt: someTime.Draw(rt, "requested"), State: someState.Draw(rt, "state"),
		Handed: maybeTime.Draw(rt, "handed"), Begun: maybeTime.Draw(rt, "begun"), CancelRequested: maybeTime.Draw(rt, "cancel"),
		DeliverBy: maybeTime.Draw(rt, "deliver"), FinishBy: maybeTime.Draw(rt, "finish"), Next: maybeTime.Draw(rt, "next"),
		Trace: someText.Draw(rt, "trace"),
	}
}

func drawPlugin(rt *rapid.T, command, instance, name string) ssmrun.Plugin {
	return ssmrun.Plugin{
		CommandID: command, InstanceID: instance, Name: name, Action: someText.Draw(rt, "action"),
		Index: rapid.IntRange(0, 9).Draw(rt, "index"), State: someState.Draw(rt, "state"), ExitCode: rapid.IntRange(-1, 255).Draw(rt, "exit code"),
		Started: maybeTime.Draw(rt, "started"), Finished: maybeTime.Draw(rt, "finished"),
		Stdout: someText.Draw(rt, "stdout"), Stderr: someText.Draw(rt, "stderr"), Output: someOutput.Draw(rt, "output"),
	}
}

func reading(rt *rapid.T) op {
	scope := someScope.Draw(rt, "scope")
	command, instance := someCommand.Draw(rt, "command"), someInstance.Draw(rt, "instance")
	limit := rapid.IntRange(1, 4).Draw(rt, "limit")
	switch rapid.IntRange(0, 22).Draw(rt, "read") {
	case 0:
		return op{"Command and ReadInput " + command, func(tx store.Tx) (any, error) {
			c, err := tx.Command(scope, command)
			if err != nil {
				return nil, err
			}
			lean := *c
			err = tx.ReadInput(c)
			return []*ssmrun.Command{&lean, c}, err
		}}
	case 1:
		caller, token := someCaller.Draw(rt, "caller"), someToken.Draw(rt, "token")
		return op{"CommandByToken " + token, func(tx store.Tx) (any, error) { return tx.CommandByToken(scope, caller, token) }}
	case 2, 3:
		q := someQuery.Draw(rt, "query")
		return op{fmt.Sprintf("ListCommands %+v by %d", q, limit), func(tx store.Tx) (any, error) {
			return walkCommands(tx, scope, q, pages(tx, limit))
		}}
	case 4:
		return op{"Invocation", func(tx store.Tx) (any, error) { return tx.Invocation(scope, command, instance) }}
	case 5, 6, 7:
		q := someQuery.Draw(rt, "query")
		return op{fmt.Sprintf("ListInvocations %+v by %d", q, limit), func(tx store.Tx) (any, error) {
			return walkInvocations(tx, scope, q, pages(tx, limit))
		}}
	case 8:
		return op{fmt.Sprint("InvocationsAfter ", command, limit), func(tx store.Tx) (any, error) {
			return tx.InvocationsAfter(scope, command, instance, limit)
		}}
	case 9:
		return op{"OpenInvocations " + instance, func(tx store.Tx) (any, error) { return tx.OpenInvocations(scope, instance) }}
	case 10:
		now := someTime.Draw(rt, "now")
		return op{"DueInvocations", func(tx store.Tx) (any, error) {
			all, err := tx.DueInvocations(now, 1000)
			if !slices.IsSortedFunc(all, func(a, b ssmrun.Invocation) int { return a.Next.Compare(b.Next) }) {
				return nil, fmt.Errorf("not earliest first: %v", all)
			}
			slices.SortFunc(all, compareDue)
			return all, err
		}}
	case 11:
		return op{"Plugins", func(tx store.Tx) (any, error) { return tx.Plugins(scope, command, instance) }}
	case 12:
		q := store.InstanceQuery{}
		if rapid.Bool().Draw(rt, "by platform") {
			q.PlatformTypes = []string{someName.Draw(rt, "platform")}
		}
		if rapid.Bool().Draw(rt, "by type") {
			q.ResourceTypes = []string{"ManagedInstance"}
		}
		q.AnyState = rapid.Bool().Draw(rt, "any state")
		return op{fmt.Sprintf("ListInstances %+v", q), func(tx store.Tx) (any, error) {
			return walkInstances(tx, scope, q, pages(tx, limit))
		}}
	case 13:
		return op{"Instance " + instance, func(tx store.Tx) (any, error) { return tx.Instance(scope, instance) }}
	case 14:
		return op{"FindInstance " + instance, func(tx store.Tx) (any, error) { return tx.FindInstance(instance) }}
	case 15:
		id := someName.Draw(rt, "id")
		return op{"Activation " + id, func(tx store.Tx) (any, error) { return tx.Activation(id) }}
	case 18:
		return op{"CountOpenInvocations", func(tx store.Tx) (any, error) { return tx.CountOpenInvocations(scope) }}
	case 16, 17:
		return op{"NextDue", func(tx store.Tx) (any, error) {
			at, ok, err := tx.NextDue()
			return fmt.Sprint(at.UTC(), ok), err
		}}
	default:
		return drawDocumentRead(rt, scope)
	}
}

// pages is the limit for a driver; the model knows no pages.
func pages(tx store.Tx, limit int) int {
	if _, ok := tx.(*model); ok {
		return 1_000_000
	}
	return limit
}
