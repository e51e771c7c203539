// The multipliers and accumulators of one column of the array.
//
// Multiplies the operand of every row by that of the column in one cycle and adds in the next. Accumulators restart
// where their feedback is cleared. This is the accumulator with `sload` of the vendor's inference templates: the clear
// is registered, and only the product and the fed-back sum are added, so that multiplier, adder and registers map to
// one DSP.
// Limits: the operand registers belong to the caller.
//
// The three ways to multiply give the same integers:
//   - one DSP per row;
//   - Pack: one DSP per two rows, (a1 * 2^16 + a0) * b = a1 * b * 2^16 + a0 * b. As -128 <= a < 128 and
//     -128 <= b < 256, a product has 16 bits: the low half is a0 * b, and the high half is a1 * b, less 1 if a0 * b is
//     negative, which the carry of the adder of the sum adds. The packed operand has 25 bits, the width of the smaller
//     DSP. The sums are in LUTs: a second DSP has 48 bits, too few for two sums of 32;
//   - Luts: no DSP; b is split into four digits of two bits and a sign.
//
// Loops over rows are not unrolled in the simulator (unroll_disable), so that its compiler can vectorize them.
module ng_mac #(
  parameter int unsigned Lanes = 8,
  parameter bit          Pack  = 1'b0,
  parameter bit          Luts  = 1'b0
) (
  input  logic               clk_i,
  input  logic               clear_i,            // with the first operands of a sum
  input  logic signed [7:0]  a_i[Lanes],         // -128 to 127
  input  logic signed [24:0] pair_i[Lanes/2],    // a_i[2p+1] * 2^16 + a_i[2p]
  input  logic signed [9:0]  triple_i[Lanes],    // 3 * a_i
  input  logic signed [8:0]  b_i,                // -128 to 255
  output logic signed [31:0] sum_o[Lanes]
);
  // Rows whose sums one register clears: all, or 16 where the sums are in LUTs.
  localparam int unsigned Rows = (Pack || Luts) && Lanes > 16 ? 16 : Lanes;
  logic signed [15:0] term[Lanes];
  logic signed [31:0] kept[Lanes], sum[Lanes], sum_q[Lanes];

  if (Pack && !Luts) begin : gen_pack
    logic signed [31:0] product[Lanes/2], product_q[Lanes/2];
    always_comb begin
      for (int unsigned p = 0; p < Lanes / 2; p++) product[p] = 32'(pair_i[p]) * 32'(b_i);
    end
    always_ff @(posedge clk_i) product_q <= product;
    for (genvar p = 0; p < Lanes / 2; p++) begin : gen_pair
      assign term[2*p]    = product_q[p][15:0];
      assign term[2*p+1]  = product_q[p][31:16];
      // An adder with carry: of one more bit, as synthesis recognizes it.
      logic signed [32:0] odd;
      assign odd        = $signed({32'(term[2*p+1]), 1'b1}) + $signed({kept[2*p+1], product_q[p][15]});
      assign sum[2*p]   = 32'(term[2*p]) + kept[2*p];
      assign sum[2*p+1] = odd[32:1];
    end
  end else if (Luts) begin : gen_luts
    for (genvar row = 0; row < Lanes; row++) begin : gen_row
      logic [3:0][9:0] multiple;
      // Kept separate, so that each sum is one carry chain whose LUTs also select the multiple.
      (* keep = "true" *) logic signed [11:0] low, high;
      (* keep = "true" *) logic signed [15:0] whole;
      logic signed [15:0] product_q;
      always_comb begin
        for (int unsigned n = 0; n < 4; n++) begin
          unique case (b_i[2*n+:2])
            2'd0:    multiple[n] = 10'd0;
            2'd1:    multiple[n] = 10'(a_i[row]);
            2'd2:    multiple[n] = 10'(a_i[row]) <<< 1;
            default: multiple[n] = triple_i[row];
          endcase
        end
      end
      assign low   = 12'(signed'(multiple[0])) + (12'(signed'(multiple[1])) <<< 2);
      assign high  = 12'(signed'(multiple[2])) + (12'(signed'(multiple[3])) <<< 2);
      assign whole = 16'(low) + (16'(high) <<< 4);
      always_ff @(posedge clk_i) product_q <= whole - (b_i[8] ? 16'(a_i[row]) <<< 8 : 16'sd0);
      assign term[row] = product_q;
    end
  end else begin : gen_dsps
    logic signed [15:0] product[Lanes], product_q[Lanes];
    always_comb begin
      /* verilator unroll_disable */
      for (int unsigned row = 0; row < Lanes; row++) product[row] = 16'(a_i[row]) * 16'(b_i);
    end
    always_ff @(posedge clk_i) product_q <= product;
    assign term = product_q;
  end

  (* keep = "true" *) logic [Lanes/Rows-1:0] clear_q;
  always_ff @(posedge clk_i) clear_q <= {(Lanes / Rows) {clear_i}};
  always_comb begin
    /* verilator unroll_disable */
    for (int unsigned row = 0; row < Lanes; row++) kept[row] = clear_q[row/Rows] ? 32'sd0 : sum_q[row];
  end
  if (!Pack || Luts) begin : gen_sum
    always_comb begin
      /* verilator unroll_disable */
      for (int unsigned row = 0; row < Lanes; row++) sum[row] = 32'(term[row]) + kept[row];
    end
  end
  always_ff @(posedge clk_i) sum_q <= sum;
  assign sum_o = sum_q;
endmodule
