package storetest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ssmrun"
	"ssmrun/internal/store"
)

// lists are the lists that have pages, as functions that give the names of
// their rows.
var lists = map[string]func(tx store.Tx, p store.Page) (names []string, next string, err error){
	"commands": func(tx store.Tx, p store.Page) ([]string, string, error) {
		list, next, err := tx.ListCommands(home, store.CommandQuery{}, p)
		return commandIDs(list), next, err
	},
	"invocations": func(tx store.Tx, p store.Page) ([]string, string, error) {
		list, next, err := tx.ListInvocations(home, store.CommandQuery{}, p)
		var names []string
		for _, i := range list {
			names = append(names, i.CommandID+"/"+i.InstanceID)
		}
		return names, next, err
	},
	"invocations of a command": func(tx store.Tx, p store.Page) ([]string, string, error) {
		list, next, err := tx.ListInvocations(home, store.CommandQuery{CommandID: commandID(1)}, p)
		var names []string
		for _, i := range list {
			names = append(names, i.InstanceID)
		}
		return names, next, err
	},
	"instances": func(tx store.Tx, p store.Page) ([]string, string, error) {
		list, next, err := tx.ListInstances(home, store.InstanceQuery{}, p)
		var names []string
		for _, i := range list {
			names = append(names, i.ID)
		}
		return names, next, err
	},
}

// putRows adds commands 0 to n-1, three of each time and with four invocations
// each, and as many instances.
func (b *bundle) putRows(t *testing.T, n int) {
	t.Helper()
	b.update(t, func(tx store.Tx) error {
		for n := range n {
			if err := insert(tx, newCommand(commandID(n), at(n/3)),
				instanceID(2*n), instanceID(2*n+1), instanceID(2*n+2), instanceID(2*n+3)); err != nil {
				return err
			}
			if err := tx.PutInstance(newInstance(2 * n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// testPagesStable adds rows at every place between two pages: what was there
// at the beginning comes once each, in order.
func testPagesStable(t *testing.T, b *bundle) {
	b.putRows(t, 12)
	added := 100
	for name, list := range lists {
		page := func(p store.Page) (names []string, next string) {
			b.view(t, func(tx store.Tx) (err error) {
				names, next, err = list(tx, p)
				return err
			})
			return names, next
		}
		before, _ := page(store.Page{Limit: 1000})
		var got []string
		for p, round := (store.Page{Limit: 2}), 0; ; round++ {
			names, next := page(p)
			got = append(got, names...)
			if p.Token = next; next == "" {
				break
			}
			if round > 6 {
				continue // else the list grows faster than it is read
			}
			// Commands before, at and after all times; instances between all.
			b.update(t, func(tx store.Tx) error {
				for _, minute := range []int{-1, 0, 1, 2, 3, 4} {
					added++
					if err := insert(tx, newCommand(commandID(added), at(minute)), instanceID(0)); err != nil {
						return err
					}
				}
				added++
				i := newInstance(0)
				i.ID = fmt.Sprintf("i-%08x", added*7919)
				return tx.PutInstance(i)
			})
		}
		seen := map[string]int{}
		for _, n := range got {
			if seen[n]++; seen[n] > 1 {
				t.Errorf("%s: %s comes %d times", name, n, seen[n])
			}
		}
		got = slices.DeleteFunc(got, func(n string) bool { return !slices.Contains(before, n) })
		same(t, name+": the rows of the beginning", got, before)
	}
}

func testPageTokens(t *testing.T, b *bundle) {
	b.putRows(t, 5)
	tokens := map[string]string{}
	b.view(t, func(tx store.Tx) error {
		for name, list := range lists {
			_, next, err := list(tx, store.Page{Limit: 2})
			if err != nil {
				return err
			}
			if next == "" {
				t.Fatalf("%s: no token after 2 rows of more", name)
			}
			again, _, err := list(tx, store.Page{Limit: 2, Token: next})
			if err != nil || len(again) != 2 {
				t.Errorf("%s: the second page has %d rows, error %v", name, len(again), err)
			}
			tokens[name] = next
		}
		return nil
	})
	flip := func(s string) string { // another character in the middle
		c := byte('A')
		if s[len(s)/2] == c {
			c = 'B'
		}
		return s[:len(s)/2] + string(c) + s[len(s)/2+1:]
	}
	for name, list := range lists {
		bad := []string{
			"x", "AAAA", "====", " ", "\x00", "not a token", strings.Repeat("A", 100_000),
			tokens[name] + "A", tokens[name][1:], tokens[name][:len(tokens[name])-1], tokens[name] + "\n", flip(tokens[name]),
			base64.RawURLEncoding.EncodeToString([]byte(`{"l":"commands","i":"x"}`)),
		}
		for other, token := range tokens {
			// All invocations, or those of one command, are the same list.
			if strings.Fields(other)[0] != strings.Fields(name)[0] {
				bad = append(bad, token)
			}
		}
		b.view(t, func(tx store.Tx) error {
			for _, token := range bad {
				names, next, err := list(tx, store.Page{Limit: 2, Token: token})
				if ssmrun.ErrorCode(err) != ssmrun.CodeInvalidNextToken {
					t.Errorf("%s: token %.60q gives %v, %q, error %v; want InvalidNextToken", name, token, names, next, err)
				}
			}
			// A refused token does not spoil the transaction.
			_, _, err := list(tx, store.Page{Limit: 2})
			return err
		})
	}
}

// testPageLimit has pages that end exactly with the rows.
func testPageLimit(t *testing.T, b *bundle) {
	b.putRows(t, 3)
	b.view(t, func(tx store.Tx) error {
		for name, list := range lists {
			all, next, err := list(tx, store.Page{Limit: 1000})
			if err != nil || next != "" {
				t.Errorf("%s: next %q, error %v for a limit beyond the end", name, next, err)
			}
			exact, next, err := list(tx, store.Page{Limit: len(all)})
			if err != nil || next != "" || len(exact) != len(all) {
				t.Errorf("%s: a page of exactly all has next %q, error %v", name, next, err)
			}
			first, next, err := list(tx, store.Page{Limit: len(all) - 1})
			if err != nil || next == "" {
				t.Errorf("%s: a page of all but one has next %q, error %v", name, next, err)
			}
			last, next, err := list(tx, store.Page{Limit: 1000, Token: next})
			if err != nil || next != "" {
				t.Errorf("%s: the last page has next %q, error %v", name, next, err)
			}
			same(t, name, append(first, last...), all)
			for _, limit := range []int{0, -1} {
				if _, _, err := list(tx, store.Page{Limit: limit}); err == nil {
					t.Errorf("%s: a page of %d rows is no error", name, limit)
				}
			}
		}
		return nil
	})
}
