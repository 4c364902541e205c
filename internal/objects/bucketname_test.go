package objects

import (
	"strings"
	"testing"

	"github.com/versity/versitygw/s3api/utils"

	"ssmrun"
)

func TestCheckBucketName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, rule string }{
		{"logs", ""},
		{"a1b", ""},
		{"my.logs-2026", ""},
		{strings.Repeat("a", 63), ""},
		{"1.2.3", ""},
		{"1.2.3.4.5", ""},
		{"", "0 characters"},
		{"ab", "2 characters"},
		{strings.Repeat("a", 64), "64 characters"},
		{"Logs", `'L'`},
		{"my_logs", `'_'`},
		{"my logs", `' '`},
		{"büro", `'ü'`},
		{"../..", `'/'`},
		{"-logs", `begins with '-'`},
		{"..logs", `begins with '.'`},
		{"logs-", `ends with '-'`},
		{"my..logs", "two dots"},
		{"192.168.5.4", "IP address"},
		{"999.999.999.999", "IP address"},
		{"xn--logs", `"xn--"`},
		{"sthree-logs", `"sthree-"`},
		{"amzn-s3-demo-logs", `"amzn-s3-demo-"`},
		{"logs-s3alias", `"-s3alias"`},
		{"logs--ol-s3", `"--ol-s3"`},
		{"logs.mrap", `".mrap"`},
		{"logs--x-s3", `"--x-s3"`},
		{"logs--table-s3", `"--table-s3"`},
	} {
		err := ssmrun.CheckBucketName(tc.name)
		if tc.rule == "" {
			if err != nil {
				t.Errorf("%q: %v", tc.name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.rule) {
			t.Errorf("%q: got %v, want the rule %q", tc.name, err, tc.rule)
		}
	}
}

// What we take must be a name that the gateway takes, and stay a single part of a path.
func FuzzCheckBucketName(f *testing.F) {
	for _, s := range []string{"logs", "a.b", "1.2.3.4", "..", "a/b", "-a-", "xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if ssmrun.CheckBucketName(name) != nil {
			return
		}
		if !utils.IsValidBucketName(name) || strings.ContainsAny(name, "/\\") || strings.Contains(name, "..") {
			t.Errorf("%q is taken", name)
		}
	})
}
