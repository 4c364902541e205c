package daemon

import "testing"

func TestUnreferenced(t *testing.T) {
	t.Parallel()
	refs := []string{"ssm:plain", "ssm:/a/b:3", "ssm-secure:secret", "ssm:both", "ssm-secure:both", "ssm:ssm-secure:odd"}
	for _, c := range []struct {
		names   []string
		decrypt bool
		want    string
	}{
		{nil, true, ""},
		{[]string{"plain"}, false, ""},
		{[]string{"plain"}, true, "plain"},
		{[]string{"secret"}, true, ""},
		{[]string{"secret"}, false, ""}, // sealed
		{[]string{"both"}, true, ""},
		{[]string{"/a/b:3"}, false, ""},
		{[]string{"/a/b"}, false, "/a/b"},
		{[]string{"/a/b:4"}, false, "/a/b:4"},
		{[]string{"plain:1"}, false, "plain:1"},
		{[]string{"Plain"}, false, "Plain"},
		{[]string{"ssm:plain"}, false, "ssm:plain"},
		{[]string{"odd"}, true, "odd"},
		{[]string{"plain", "secret", "other"}, false, "other"},
		{[]string{"secret", "plain"}, true, "plain"},
	} {
		if got := unreferenced(refs, c.names, c.decrypt); got != c.want {
			t.Errorf("%q, decrypt %v: %q is denied, want %q", c.names, c.decrypt, got, c.want)
		}
	}
	if got := unreferenced(nil, []string{"x"}, false); got != "x" {
		t.Errorf("without references %q is denied", got)
	}
}
