package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/store"
)

func (b *bundle) instance(t *testing.T, id string) *ssmrun.Instance {
	t.Helper()
	var i *ssmrun.Instance
	b.view(t, func(tx store.Tx) (err error) {
		i, err = tx.Instance(home, id)
		return err
	})
	return i
}

func testInstances(t *testing.T, b *bundle) {
	i := newInstance(1)
	i.Stopped = true
	bare := &ssmrun.Instance{ID: "mi-0123456789abcdef0", Scope: home}
	b.update(t, func(tx store.Tx) error {
		if err := tx.PutInstance(i); err != nil {
			return err
		}
		return tx.PutInstance(bare)
	})
	same(t, "instance with all", b.instance(t, i.ID), i)
	got := b.instance(t, bare.ID)
	same(t, "instance with nothing", got, bare)
	if !got.LastPing.IsZero() || !got.RegisteredAt.IsZero() {
		t.Errorf("LastPing %v and RegisteredAt %v are not zero", got.LastPing, got.RegisteredAt)
	}
	replaced := *bare
	replaced.Name, replaced.AgentVersion, replaced.LastPing, replaced.Stopped = "new", "9", at(9), true
	b.update(t, func(tx store.Tx) error { return tx.PutInstance(&replaced) })
	same(t, "replaced", b.instance(t, bare.ID), &replaced)

	away := newInstance(2)
	away.Scope = otherReg
	b.update(t, func(tx store.Tx) error { return tx.PutInstance(away) })
	b.view(t, func(tx store.Tx) error {
		_, err := tx.Instance(home, away.ID)
		notFound(t, "another region's instance", err)
		_, err = tx.Instance(otherAcct, i.ID)
		notFound(t, "another account's instance", err)
		found, err := tx.FindInstance(away.ID)
		same(t, "FindInstance of any scope", found, away)
		if err != nil {
			return err
		}
		_, err = tx.FindInstance(instanceID(9))
		notFound(t, "FindInstance of an unknown one", err)
		return nil
	})
	stolen := newInstance(2) // home's, with the id of otherReg's
	if err := b.Update(b.ctx, func(tx store.Tx) error { return tx.PutInstance(stolen) }); err == nil {
		t.Error("an instance of another scope was replaced")
	}
	b.view(t, func(tx store.Tx) error {
		found, err := tx.FindInstance(away.ID)
		same(t, "after the try to replace it", found, away)
		return err
	})
}

func testSeen(t *testing.T, b *bundle) {
	b.update(t, func(tx store.Tx) error {
		if err := tx.PutInstance(newInstance(1)); err != nil {
			return err
		}
		return tx.PutInstance(newInstance(2))
	})
	want := newInstance(1)
	for _, stopped := range []bool{true, false} {
		want.LastPing, want.Stopped = want.LastPing.Add(time.Hour), stopped
		b.update(t, func(tx store.Tx) error { return tx.Seen(home, want.ID, want.LastPing, stopped) })
		same(t, "after a heartbeat", b.instance(t, want.ID), want)
	}
	same(t, "the neighbour", b.instance(t, instanceID(2)), newInstance(2))
	b.update(t, func(tx store.Tx) error {
		notFound(t, "Seen of an unknown one", tx.Seen(home, instanceID(9), at(0), false))
		notFound(t, "Seen from another scope", tx.Seen(otherReg, instanceID(1), at(0), false))
		return nil
	})
	same(t, "after another scope's heartbeat", b.instance(t, want.ID), want)
}

// walkInstances reads all pages of a list.
func walkInstances(tx store.Tx, scope ssmrun.Scope, q store.InstanceQuery, limit int) ([]ssmrun.Instance, error) {
	var all []ssmrun.Instance
	for p := (store.Page{Limit: limit}); ; {
		part, next, err := tx.ListInstances(scope, q, p)
		if err != nil {
			return nil, err
		}
		if len(part) > limit || next != "" && len(part) != limit {
			return nil, fmt.Errorf("a page of %d rows for limit %d, next %q", len(part), limit, next)
		}
		if next != "" && next == p.Token {
			return nil, fmt.Errorf("the page after token %q is itself", next)
		}
		all = append(all, part...)
		if p.Token = next; next == "" {
			return all, nil
		}
	}
}

func testListInstances(t *testing.T, b *bundle) {
	ids := []string{instanceID(1), instanceID(2), instanceID(3), "mi-00000000000000004", "mi-00000000000000005"}
	b.update(t, func(tx store.Tx) error {
		for _, n := range []int{4, 2, 0, 3, 1} {
			i := newInstance(n)
			i.ID = ids[n]
			i.PlatformType = []string{"Linux", "Windows", "Linux", "Linux", "MacOS"}[n]
			i.AgentVersion = fmt.Sprint("3.", n)
			i.ActivationID = []string{"", "", "", "a", "b"}[n]
			i.IamRole = []string{"r", "r", "s", "s", "s"}[n]
			if err := tx.PutInstance(i); err != nil {
				return err
			}
		}
		away := newInstance(8)
		away.Scope = otherAcct
		return tx.PutInstance(away)
	})
	for name, c := range map[string]struct {
		q    store.InstanceQuery
		want []int
	}{
		"all":           {store.InstanceQuery{}, []int{0, 1, 2, 3, 4}},
		"ids":           {store.InstanceQuery{IDs: []string{ids[4], ids[1], instanceID(8), "i-unknown"}}, []int{1, 4}},
		"platform":      {store.InstanceQuery{PlatformTypes: []string{"Linux"}}, []int{0, 2, 3}},
		"platforms":     {store.InstanceQuery{PlatformTypes: []string{"Windows", "MacOS"}}, []int{1, 4}},
		"agent version": {store.InstanceQuery{AgentVersions: []string{"3.2", "3.9"}}, []int{2}},
		"activation":    {store.InstanceQuery{ActivationIDs: []string{"a", "b"}}, []int{3, 4}},
		"role":          {store.InstanceQuery{IamRoles: []string{"r"}}, []int{0, 1}},
		"EC2":           {store.InstanceQuery{ResourceTypes: []string{"EC2Instance"}}, []int{0, 1, 2}},
		"managed":       {store.InstanceQuery{ResourceTypes: []string{"ManagedInstance"}}, []int{3, 4}},
		"both types":    {store.InstanceQuery{ResourceTypes: []string{"ManagedInstance", "EC2Instance"}}, []int{0, 1, 2, 3, 4}},
		"unknown type":  {store.InstanceQuery{ResourceTypes: []string{"Toaster"}}, nil},
		"many":          {store.InstanceQuery{PlatformTypes: []string{"Linux"}, IamRoles: []string{"s"}, ResourceTypes: []string{"EC2Instance"}}, []int{2}},
	} {
		var want []string
		for _, n := range c.want {
			want = append(want, ids[n])
		}
		b.view(t, func(tx store.Tx) error {
			for limit := 1; limit <= 6; limit++ {
				list, err := walkInstances(tx, home, c.q, limit)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				var got []string
				for _, i := range list {
					got = append(got, i.ID)
				}
				same(t, fmt.Sprintf("%s, pages of %d", name, limit), got, want)
			}
			return nil
		})
	}
	b.view(t, func(tx store.Tx) error {
		list, err := walkInstances(tx, home, store.InstanceQuery{IDs: ids[2:3]}, 1)
		want := newInstance(2)
		want.ID, want.AgentVersion, want.ActivationID, want.IamRole = ids[2], "3.2", "", "s"
		same(t, "a listed instance", list, []ssmrun.Instance{*want})
		return err
	})
}

func testDeleteInstance(t *testing.T, b *bundle) {
	b.update(t, func(tx store.Tx) error {
		if err := tx.PutInstance(newInstance(1)); err != nil {
			return err
		}
		if err := tx.PutInstance(newInstance(2)); err != nil {
			return err
		}
		notFound(t, "DeleteInstance from another scope", tx.DeleteInstance(otherReg, instanceID(1)))
		return tx.DeleteInstance(home, instanceID(1))
	})
	b.update(t, func(tx store.Tx) error {
		notFound(t, "DeleteInstance a second time", tx.DeleteInstance(home, instanceID(1)))
		_, err := tx.FindInstance(instanceID(1))
		notFound(t, "a deleted instance", err)
		return nil
	})
	same(t, "the neighbour", b.instance(t, instanceID(2)), newInstance(2))
}

func testAgentVersions(t *testing.T, b *bundle) {
	b.update(t, func(tx store.Tx) error {
		for n, v := range []string{"1.0.0", "1.0.0", "2.0.0", "9.0.0", "8.0.0"} {
			i := newInstance(n)
			i.AgentVersion = v
			if v == "9.0.0" {
				i.AgentName = "amazon-ssm-agent"
			}
			if v == "8.0.0" {
				i.Scope = otherAcct
			}
			if err := tx.PutInstance(i); err != nil {
				return err
			}
		}
		return nil
	})
	b.view(t, func(tx store.Tx) error {
		got, err := tx.AgentVersions(home, "ssmrun-agent")
		slices.Sort(got)
		same(t, "versions", got, []string{"1.0.0", "2.0.0"})
		return err
	})
}
