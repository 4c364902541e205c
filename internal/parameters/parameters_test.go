package parameters_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/parameters"
	"ssmrun/internal/store"
	"ssmrun/internal/store/sqlite"
)

var scope = ssmrun.Scope{Account: "000000000000", Region: "us-east-1"}

func setup(t *testing.T) store.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func service(t *testing.T, db store.Store, key byte, limit int) *parameters.Service {
	t.Helper()
	s, err := parameters.New(parameters.Config{Store: db, Key: bytes.Repeat([]byte{key}, 32), Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *parameters.Service, in parameters.PutRequest) {
	t.Helper()
	if _, _, err := s.Put(t.Context(), scope, in); err != nil {
		t.Fatalf("put %s: %v", in.Name, err)
	}
}

func TestNewRefusesAShortKey(t *testing.T) {
	t.Parallel()
	if _, err := parameters.New(parameters.Config{Store: setup(t), Key: make([]byte, 16)}); err == nil {
		t.Error("a key of 16 bytes was taken")
	}
}

// TestSealedInPlace: a sealed value is good for its own name and version and
// with its own key only.
func TestSealedInPlace(t *testing.T) {
	t.Parallel()
	db := setup(t)
	s := service(t, db, 1, 0)
	put(t, s, parameters.PutRequest{Name: "/a", Type: parameters.TypeSecureString, Value: "text of a"})
	put(t, s, parameters.PutRequest{Name: "/a", Value: "second text of a", Overwrite: true})
	put(t, s, parameters.PutRequest{Name: "/b", Type: parameters.TypeSecureString, Value: "text of b"})
	read := func(s *parameters.Service, name, want string, code ssmrun.Code) {
		t.Helper()
		p, err := s.Get(t.Context(), scope, name, true)
		if ssmrun.ErrorCode(err) != code || err == nil && p.Value != want {
			t.Errorf("%s: %v, want %s", name, err, code)
		}
		if err != nil && strings.Contains(err.Error(), "text of") {
			t.Errorf("a value is in an error: %v", err)
		}
	}
	read(s, "/a", "second text of a", "")
	read(s, "/a:1", "text of a", "")
	read(service(t, db, 2, 0), "/a", "", parameters.CodeInvalidKeyID)

	// Whoever writes to the database swaps values, or damages one.
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		first, err := tx.Parameter(scope, "/a", 1)
		if err != nil {
			return err
		}
		if bytes.Contains(first.Value, []byte("text")) {
			t.Error("the stored value is not sealed")
		}
		swapped := *first
		swapped.Version = 3
		if err := tx.PutParameter(&swapped, 100); err != nil {
			return err
		}
		other := *first
		other.Name, other.Version = "/b", 2
		if err := tx.PutParameter(&other, 100); err != nil {
			return err
		}
		for i, damaged := range [][]byte{{}, {1}, first.Value[:20], append(bytes.Clone(first.Value), 0), append([]byte{2}, first.Value[1:]...)} {
			p := *first
			p.Name, p.Version, p.Value = "/c", int64(i+1), damaged
			if err := tx.PutParameter(&p, 100); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	read(s, "/a", "", parameters.CodeInvalidKeyID)
	read(s, "/b", "", parameters.CodeInvalidKeyID)
	read(s, "/b:1", "text of b", "")
	for i := range 5 {
		read(s, fmt.Sprint("/c:", i+1), "", parameters.CodeInvalidKeyID)
	}
}

// TestVersionsAndLimit: a hundred versions are kept, and no more parameters
// than the limit.
func TestVersionsAndLimit(t *testing.T) {
	t.Parallel()
	s := service(t, setup(t), 1, 2)
	put(t, s, parameters.PutRequest{
		Name: "/a", Type: parameters.TypeString, Value: "0", Description: "d", AllowedPattern: "[0-9]+",
	})
	for i := range 101 {
		put(t, s, parameters.PutRequest{Name: "/a", Value: fmt.Sprint(i + 1), Overwrite: true})
	}
	for name, want := range map[string]string{"/a": "101", "/a:102": "101", "/a:3": "2", "/a:2": "", "/a:0": "", "/a:-1": "", "/a:": "", "/a:1:1": ""} {
		p, err := s.Get(t.Context(), scope, name, false)
		switch {
		case want == "" && ssmrun.ErrorCode(err) != parameters.CodeVersionNotFound:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err != nil || p.Value != want || p.Description != "d" || p.AllowedPattern != "[0-9]+"):
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	put(t, s, parameters.PutRequest{Name: "b", Type: parameters.TypeString, Value: "x"})
	_, _, err := s.Put(t.Context(), scope, parameters.PutRequest{Name: "c", Type: parameters.TypeString, Value: "x"})
	if ssmrun.ErrorCode(err) != parameters.CodeLimitExceeded {
		t.Errorf("one more: %v", err)
	}
	put(t, s, parameters.PutRequest{Name: "b", Value: "y", Overwrite: true})
	if deleted, _, err := s.Delete(t.Context(), scope, []string{"b"}); len(deleted) != 1 || err != nil {
		t.Errorf("delete: %v, %v", deleted, err)
	}
	put(t, s, parameters.PutRequest{Name: "c", Type: parameters.TypeString, Value: "x"})
}

func TestTiers(t *testing.T) {
	t.Parallel()
	s := service(t, setup(t), 1, 0)
	big := strings.Repeat("x", 4097)
	for i, c := range []struct{ tier, value, want string }{
		{"", "x", parameters.TierStandard},
		{parameters.TierIntelligent, "x", parameters.TierStandard},
		{parameters.TierIntelligent, big, parameters.TierAdvanced},
		{parameters.TierIntelligent, "x", parameters.TierAdvanced}, // not back
		{"", big, parameters.TierAdvanced},
	} {
		_, tier, err := s.Put(t.Context(), scope, parameters.PutRequest{Name: "p", Type: parameters.TypeString, Value: c.value, Tier: c.tier, Overwrite: true})
		if tier != c.want || err != nil {
			t.Errorf("%d: %s, %v; want %s", i, tier, err, c.want)
		}
	}
}

// TestDeleteDropsTags: a parameter that is made anew does not inherit tags.
func TestDeleteDropsTags(t *testing.T) {
	t.Parallel()
	db := setup(t)
	s := service(t, db, 1, 0)
	put(t, s, parameters.PutRequest{Name: "/p", Type: parameters.TypeString, Value: "x", Tags: map[string]string{"k": "v"}})
	tags := func(want int) {
		t.Helper()
		if err := db.View(t.Context(), func(tx store.Tx) error {
			got, err := tx.Tags(scope, parameters.ResourceType, "/p")
			if len(got) != want {
				t.Errorf("%d tags, want %d", len(got), want)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	tags(1)
	if _, _, err := s.Delete(t.Context(), scope, []string{"arn:aws:ssm:us-east-1:000000000000:parameter/p"}); err != nil {
		t.Fatal(err)
	}
	tags(0)
}
