package provider

import (
	"context"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

func TestParameters(t *testing.T) {
	t.Parallel()
	number := func(s string) attr.Value {
		f, _, err := big.ParseFloat(s, 10, 512, big.ToNearestEven)
		if err != nil {
			t.Fatal(err)
		}
		return types.NumberValue(f)
	}
	object := func(members map[string]attr.Value) attr.Value {
		kinds := map[string]attr.Type{}
		for k, v := range members {
			kinds[k] = v.Type(context.Background())
		}
		return types.ObjectValueMust(kinds, members)
	}
	tuple := func(items ...attr.Value) attr.Value {
		kinds := make([]attr.Type, len(items))
		for i, v := range items {
			kinds[i] = v.Type(context.Background())
		}
		return types.TupleValueMust(kinds, items)
	}
	for name, test := range map[string]struct {
		in         types.Dynamic
		want       map[string]any
		incomplete bool
		err        string
	}{
		"null":            {in: types.DynamicNull()},
		"null inside":     {in: types.DynamicValue(types.StringNull())},
		"unknown":         {in: types.DynamicUnknown(), incomplete: true},
		"unknown inside":  {in: types.DynamicValue(types.StringUnknown()), incomplete: true},
		"unknown deep":    {in: types.DynamicValue(object(map[string]attr.Value{"commands": tuple(types.StringValue("a"), types.StringUnknown())})), incomplete: true},
		"empty":           {in: types.DynamicValue(object(nil)), want: map[string]any{}},
		"list":            {in: types.DynamicValue(object(map[string]attr.Value{"commands": tuple(types.StringValue("a"), types.StringValue("b"))})), want: map[string]any{"commands": []any{"a", "b"}}},
		"mixed list":      {in: types.DynamicValue(object(map[string]attr.Value{"x": tuple(types.StringValue("a"), number("7"), types.BoolValue(true), types.StringNull())})), want: map[string]any{"x": []any{"a", json.Number("7"), true}}},
		"real list":       {in: types.DynamicValue(object(map[string]attr.Value{"x": types.ListValueMust(types.StringType, []attr.Value{types.StringValue("a")})})), want: map[string]any{"x": []any{"a"}}},
		"set":             {in: types.DynamicValue(object(map[string]attr.Value{"x": types.SetValueMust(types.StringType, []attr.Value{types.StringValue("a")})})), want: map[string]any{"x": []any{"a"}}},
		"map of lists":    {in: types.DynamicValue(types.MapValueMust(types.ListType{ElemType: types.StringType}, map[string]attr.Value{"x": types.ListValueMust(types.StringType, []attr.Value{types.StringValue("a")})})), want: map[string]any{"x": []any{"a"}}},
		"string":          {in: types.DynamicValue(object(map[string]attr.Value{"x": types.StringValue("a")})), want: map[string]any{"x": "a"}},
		"boolean":         {in: types.DynamicValue(object(map[string]attr.Value{"x": types.BoolValue(false)})), want: map[string]any{"x": false}},
		"number":          {in: types.DynamicValue(object(map[string]attr.Value{"x": number("3600")})), want: map[string]any{"x": json.Number("3600")}},
		"large number":    {in: types.DynamicValue(object(map[string]attr.Value{"x": number("1000000")})), want: map[string]any{"x": json.Number("1000000")}},
		"fraction":        {in: types.DynamicValue(object(map[string]attr.Value{"x": number("0.1")})), want: map[string]any{"x": json.Number("0.1")}},
		"negative":        {in: types.DynamicValue(object(map[string]attr.Value{"x": number("-1")})), want: map[string]any{"x": json.Number("-1")}},
		"map":             {in: types.DynamicValue(object(map[string]attr.Value{"x": object(map[string]attr.Value{"k": types.StringValue("v"), "none": types.StringNull()})})), want: map[string]any{"x": map[string]any{"k": "v"}}},
		"null member":     {in: types.DynamicValue(object(map[string]attr.Value{"x": types.StringNull(), "y": types.StringValue("a")})), want: map[string]any{"y": "a"}},
		"a string itself": {in: types.DynamicValue(types.StringValue("secret")), err: "must be an object or a map, as in { commands = [\"uptime\"] }, not a string"},
		"a number itself": {in: types.DynamicValue(number("42424242")), err: "not a number"},
		"a list itself":   {in: types.DynamicValue(tuple(types.StringValue("secret"))), err: "not a list"},
		"a bool itself":   {in: types.DynamicValue(types.BoolValue(true)), err: "not true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, complete, err := parameters(t.Context(), test.in)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v", err)
				}
				if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "42424242")) {
					t.Errorf("the value is in %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
			if complete == test.incomplete {
				t.Errorf("complete: %t", complete)
			}
		})
	}
}
