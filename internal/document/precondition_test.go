package document

import "testing"

func TestMet(t *testing.T) {
	t.Parallel()
	with := func(schema, precondition string) string {
		return `{"schemaVersion":"` + schema + `","parameters":{"p":{"type":"String","default":"x"},"os":{"type":"String","default":"Linux"},"need":{"type":"String"}},
			"mainSteps":[{"action":"aws:runShellScript","name":"a","precondition":` + precondition + `,"inputs":{}}]}`
	}
	tests := map[string]struct {
		schema, precondition string
		platform             string
		given                map[string][]string
		met, fails           bool
	}{
		"none":                 {"2.2", `{}`, Linux, nil, true, false},
		"null":                 {"2.2", `null`, Linux, nil, true, false},
		"platform":             {"2.2", `{"StringEquals":["platformType","Linux"]}`, Linux, nil, true, false},
		"platform, turned":     {"2.2", `{"StringEquals":["Linux","platformType"]}`, Linux, nil, true, false},
		"platform, case":       {"2.2", `{"StringEquals":["platformType","linux"]}`, Linux, nil, true, false},
		"agent's case":         {"2.2", `{"StringEquals":["platformType","MacOS"]}`, "macos", nil, true, false},
		"other platform":       {"2.2", `{"StringEquals":["platformType","Windows"]}`, Linux, nil, false, false},
		"platform is asked":    {"2.2", `{"StringEquals":["platformType","{{ os }}"]}`, Linux, nil, true, false},
		"parameter, default":   {"2.2", `{"StringEquals":["{{ p }}","x"]}`, Linux, nil, true, false},
		"parameter, given":     {"2.2", `{"StringEquals":["x","{{ p }}"]}`, Linux, map[string][]string{"p": {"X"}}, false, false},
		"parameters":           {"2.2", `{"StringEquals":["{{ p }}","{{ os }}"]}`, Linux, map[string][]string{"p": {"Linux"}}, true, false},
		"no second look":       {"2.2", `{"StringEquals":["{{ p }}","Linux"]}`, Linux, map[string][]string{"p": {"platformType"}}, false, false},
		"required":             {"2.2", `{"StringEquals":["{{ need }}","x"]}`, Linux, nil, false, true},
		"constants":            {"2.2", `{"StringEquals":["a","a"]}`, Linux, nil, false, true},
		"platform and itself":  {"2.2", `{"StringEquals":["platformType","platformType"]}`, Linux, nil, false, true},
		"one operand":          {"2.2", `{"StringEquals":["platformType"]}`, Linux, nil, false, true},
		"stored":               {"2.2", `{"StringEquals":["platformType","{{ssm:x}}"]}`, Linux, nil, false, true},
		"unknown operator":     {"2.2", `{"StringLike":["platformType","Linux"]}`, Linux, nil, false, true},
		"unmet before unknown": {"2.2", `{"Aaa":["a","b"],"StringEquals":["platformType","Windows"]}`, Linux, nil, false, false},
		"schema 2.0 has none":  {"2.0", `{"StringEquals":["platformType","Windows"]}`, Linux, nil, true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			met, err := parseText(t, with(tt.schema, tt.precondition)).Steps[0].Met(tt.platform, tt.given)
			if met != tt.met || (err != nil) != tt.fails {
				t.Errorf("got %v, %v", met, err)
			}
		})
	}
}

// TestMetAcrossPlatforms takes a document through the platforms.
func TestMetAcrossPlatforms(t *testing.T) {
	t.Parallel()
	d := parse(t, "cross-platform-22.yaml")
	for platform, want := range map[string]string{Windows: "onWindows ", Linux: "onLinux ", MacOS: ""} {
		got := ""
		for _, s := range d.Steps {
			if met, err := s.Met(platform, nil); err != nil {
				t.Fatal(err)
			} else if met {
				got += s.Name + " "
			}
		}
		if got != want {
			t.Errorf("%s runs %q, want %q", platform, got, want)
		}
	}
	if met, err := d.Steps[2].Met(Linux, map[string][]string{"mode": {"apply"}}); !met || err != nil {
		t.Errorf("the step that asks a parameter: %v, %v", met, err)
	}
}
