package sqlite

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"ssmrun/internal/store"
)

// TestRolesInUse: a database of before roles were kept has roles of those that
// its instances name, so that their agents may go on.
func TestRolesInUse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	file := filepath.Join(t.TempDir(), "store.db")
	before := fstest.MapFS{}
	for n := 1; n <= 5; n++ {
		names, err := embedded.ReadDir("migrations")
		if err != nil {
			t.Fatal(err)
		}
		text, err := embedded.ReadFile("migrations/" + names[n-1].Name())
		if err != nil {
			t.Fatal(err)
		}
		before[names[n-1].Name()] = &fstest.MapFile{Data: text}
	}
	c, err := openConn(ctx, file, writerParams)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(ctx, c, before); err != nil {
		t.Fatal(err)
	}
	for id, role := range map[string]string{"i-1": "Rack", "i-2": "Rack", "i-3": "ssmrun-local-agent", "i-4": ""} {
		if err := c.script(ctx, `INSERT INTO instances (account, region, id, name, ip_address, agent_name, agent_version, platform_type,
			platform_name, platform_version, activation_id, iam_role, public_key, fingerprint, stopped)
			VALUES ('111111111111', 'us-east-1', '`+id+`', '', '', '', '', '', '', '', '', '`+role+`', '', '', 0)`); err != nil {
			t.Fatal(err)
		}
	}
	c.close()
	db, err := Open(ctx, file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(ctx, func(tx store.Tx) error {
		list, _, err := tx.ListRoles("111111111111", store.Page{Limit: 10})
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		r := list[0]
		if r.Name != "Rack" || len(r.ID) < 16 || !json.Valid([]byte(r.Trust)) || r.CreatedAt.IsZero() || r.MaxSession != 3600 ||
			!slices.Equal(r.Services, []string{"ssm.amazonaws.com"}) || !slices.Equal(r.Policies, []string{"arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"}) {
			t.Errorf("%+v", r)
		}
		local, err := tx.FindInstance("i-3")
		if err != nil || local.IamRole != "AmazonEC2RunCommandRoleForManagedInstances" {
			t.Errorf("a local agent: %+v, %v", local, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
