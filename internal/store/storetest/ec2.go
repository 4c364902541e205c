package storetest

import (
	"fmt"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

// walk reads all pages of a list.
func walk[V any](limit int, list func(store.Page) ([]V, string, error)) ([]V, error) {
	var all []V
	for p := (store.Page{Limit: limit}); ; {
		part, next, err := list(p)
		if err != nil {
			return nil, err
		}
		if len(part) > limit || next != "" && len(part) != limit || next != "" && next == p.Token {
			return nil, fmt.Errorf("a page of %d rows for limit %d, next %q after %q", len(part), limit, next, p.Token)
		}
		all = append(all, part...)
		if p.Token = next; next == "" {
			return all, nil
		}
	}
}

func walkActivations(tx store.Tx, scope ssmrun.Scope, q store.ActivationQuery, limit int) ([]store.Activation, error) {
	return walk(limit, func(p store.Page) ([]store.Activation, string, error) { return tx.ListActivations(scope, q, p) })
}

func walkEC2IDs(tx store.Tx, scope ssmrun.Scope, now time.Time, limit int) ([]string, error) {
	return walk(limit, func(p store.Page) ([]string, string, error) { return tx.ListEC2IDs(scope, now, p) })
}

func newEC2Instance(n int) *store.EC2Instance {
	return &store.EC2Instance{
		ID: instanceID(n), Scope: home, State: store.EC2Running, Profile: "web", PrivateIP: "10.0.0.9", PrivateDNS: "ip-10-0-0-9.internal",
		PublicIP: "192.0.2.9", AvailabilityZone: "us-east-1a", InstanceType: "t3.micro", Architecture: "x86_64",
		Platform: "Linux/UNIX", KeyName: "ops", ImageID: "ami-1", LaunchedAt: at(n), Tags: map[string]string{"Name": "a 'b'", "empty": ""},
	}
}

func testEC2Instances(t *testing.T, b *bundle) {
	full, bare := newEC2Instance(1), &store.EC2Instance{ID: instanceID(2), Scope: home, State: "stopped"}
	away := newEC2Instance(3)
	away.Scope = otherReg
	for _, i := range []*store.EC2Instance{full, bare, away} {
		b.update(t, func(tx store.Tx) error { return tx.PutEC2Instance(i) })
		b.view(t, func(tx store.Tx) error {
			got, err := tx.FindEC2Instance(i.ID)
			same(t, "found", got, i)
			return err
		})
	}
	stolen := newEC2Instance(3)
	if err := b.Update(b.ctx, func(tx store.Tx) error { return tx.PutEC2Instance(stolen) }); err == nil {
		t.Error("an EC2 instance of another scope was replaced")
	}
	b.view(t, func(tx store.Tx) error {
		for _, c := range []struct {
			scope ssmrun.Scope
			ids   []string
			want  []store.EC2Instance
		}{
			{home, nil, []store.EC2Instance{*full, *bare}},
			{home, []string{away.ID, bare.ID}, []store.EC2Instance{*bare}},
			{otherReg, nil, []store.EC2Instance{*away}},
			{otherAcct, nil, nil},
		} {
			got, err := tx.EC2Instances(c.scope, c.ids)
			if err != nil {
				return err
			}
			same(t, "listed", got, c.want)
		}
		for id, want := range map[string]string{full.ID: "running", bare.ID: "stopped", away.ID: "running", "i-unknown": "running"} {
			state, err := tx.EC2State(home, id)
			if err != nil || state != want {
				t.Errorf("state of %s: %s, %v; want %s", id, state, err, want)
			}
		}
		_, err := tx.FindEC2Instance(instanceID(9))
		notFound(t, "an unknown EC2 instance", err)
		return nil
	})
	changed := *full
	changed.State, changed.Tags, changed.LaunchedAt = "terminated", nil, time.Time{}
	b.update(t, func(tx store.Tx) error { return tx.PutEC2Instance(&changed) })
	b.view(t, func(tx store.Tx) error {
		got, err := tx.FindEC2Instance(full.ID)
		same(t, "replaced", got, &changed)
		return err
	})
	for range 2 { // the second time there is none
		b.update(t, func(tx store.Tx) error { return tx.DropEC2Instance(full.ID) })
	}
	b.view(t, func(tx store.Tx) error {
		_, err := tx.FindEC2Instance(full.ID)
		notFound(t, "a dropped EC2 instance", err)
		return nil
	})
}

// testStoppedMachines: what does not run is not managed, unless it is asked for.
func testStoppedMachines(t *testing.T, b *bundle) {
	b.update(t, func(tx store.Tx) error {
		for n, state := range []string{1: "running", 2: "stopped", 3: ""} {
			if n == 0 {
				continue
			}
			if err := tx.PutInstance(newInstance(n)); err != nil {
				return err
			}
			if state == "" {
				continue
			}
			i := newEC2Instance(n)
			i.State = state
			if err := tx.PutEC2Instance(i); err != nil {
				return err
			}
		}
		return nil
	})
	for any, want := range map[bool][]string{false: {instanceID(1), instanceID(3)}, true: {instanceID(1), instanceID(2), instanceID(3)}} {
		b.view(t, func(tx store.Tx) error {
			list, err := walkInstances(tx, home, store.InstanceQuery{AnyState: any}, 1)
			var got []string
			for _, i := range list {
				got = append(got, i.ID)
			}
			same(t, "instances", got, want)
			return err
		})
	}
}

func testListEC2IDs(t *testing.T, b *bundle) {
	activation := func(id string, n int, change func(*store.Activation)) *store.Activation {
		a := newActivation(id)
		a.InstanceID, a.Limit, a.Count, a.ExpiresAt = instanceID(n), 1, 0, at(60)
		change(a)
		return a
	}
	nothing := func(*store.Activation) {}
	b.update(t, func(tx store.Tx) error {
		hybrid := newInstance(0)
		hybrid.ID = "mi-00000000000000009"
		awayEC2, away := newEC2Instance(10), newInstance(11)
		awayEC2.Scope, away.Scope = otherReg, otherAcct
		for _, i := range []*ssmrun.Instance{newInstance(1), newInstance(2), hybrid, away} {
			if err := tx.PutInstance(i); err != nil {
				return err
			}
		}
		for _, i := range []*store.EC2Instance{newEC2Instance(2), newEC2Instance(3), awayEC2} {
			if err := tx.PutEC2Instance(i); err != nil {
				return err
			}
		}
		for _, a := range []*store.Activation{
			activation("a1", 4, nothing), activation("a2", 3, nothing), activation("a3", 1, nothing),
			activation("a4", 5, func(a *store.Activation) { a.ExpiresAt = at(-1) }),
			activation("a5", 6, func(a *store.Activation) { a.Count = 1 }),
			activation("a6", 7, func(a *store.Activation) { a.Scope = otherReg }),
			activation("a7", 8, func(a *store.Activation) { a.InstanceID = "" }),
		} {
			if err := tx.PutActivation(a); err != nil {
				return err
			}
		}
		return nil
	})
	b.view(t, func(tx store.Tx) error {
		for limit := 1; limit <= 5; limit++ {
			got, err := walkEC2IDs(tx, home, at(0), limit)
			if err != nil {
				return err
			}
			same(t, "ids", got, []string{instanceID(1), instanceID(2), instanceID(3), instanceID(4)})
		}
		return nil
	})
}
