package daemon

import (
	"fmt"
	"strings"

	"ssmrun"
)

// resourceGroups reads the groups of a Config.
func resourceGroups(list []string) (map[string][]ssmrun.Target, error) {
	groups := map[string][]ssmrun.Target{}
	for _, g := range list {
		name, query, ok := strings.Cut(g, "=")
		if !ok || name == "" || query == "" {
			return nil, fmt.Errorf("--resource-group %q is not of the form NAME=tag:KEY=VALUE[,VALUE...][;...]", g)
		}
		if _, twice := groups[name]; twice {
			return nil, fmt.Errorf("--resource-group %s is given twice", name)
		}
		for part := range strings.SplitSeq(query, ";") {
			key, values, ok := strings.Cut(part, "=")
			isTag := strings.HasPrefix(key, "tag:") && key != "tag:"
			if !ok || values == "" || !isTag && key != "tag-key" {
				return nil, fmt.Errorf("--resource-group %s: %q is not of the form tag:KEY=VALUE[,VALUE...] or tag-key=KEY[,KEY...]", name, part)
			}
			groups[name] = append(groups[name], ssmrun.Target{Key: key, Values: strings.Split(values, ",")})
		}
	}
	return groups, nil
}
