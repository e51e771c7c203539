// Two multipliers with their accumulators: those of two rows of the array that share a column.
//
// What this does: multiplies in one cycle, adds in the next; an accumulator starts anew where its feedback is cleared.
// That is the form of an accumulator with `sload` of the vendor's inference templates: the clear is a register, and
// nothing but the product and the fed-back sum is added, so that multiplier, adder and registers are one DSP. What it
// does not: keep the operands, which are registers of the caller.
//
// The three ways to multiply give the same integers:
//   - a DSP for each row;
//   - Pack: one DSP for both, (a1 * 2^16 + a0) * b = a1 * b * 2^16 + a0 * b. As -128 <= a < 128 and -128 <= b < 256,
//     a product has 16 bits, so 2^15 more (the adder of the DSP) leaves a1 * b in the high half and a0 * b + 2^15 in
//     the low one. The packed operand has 25 bits, as many as the smaller DSP takes; the sums are in LUTs;
//   - Luts: no DSP; b is taken as four digits of two bits and a sign.
module ng_mac #(
  parameter bit Pack = 1'b0,
  parameter bit Luts = 1'b0
) (
  input  logic                    clk_i,
  input  logic                    clear_i,   // with the product that begins a sum
  input  logic [1:0][7:0]         a_i,       // -128 to 127
  input  logic signed [24:0]      pair_i,    // a_i[1] * 2^16 + a_i[0]
  input  logic [1:0][9:0]         triple_i,  // 3 * a_i
  input  logic signed [8:0]       b_i,       // -128 to 255
  output logic [1:0][31:0]        sum_o
);
  if (Pack && !Luts) begin : gen_pack
    logic signed [31:0] product_q, even, sum0_q, sum1_q;
    assign even = product_q + 32'sd32768;
    always_ff @(posedge clk_i) begin
      product_q <= 32'(pair_i) * 32'(b_i);
      sum0_q    <= 32'(signed'({!even[15], even[14:0]})) + (clear_i ? 32'sd0 : sum0_q);
      sum1_q    <= 32'(signed'(even[31:16])) + (clear_i ? 32'sd0 : sum1_q);
    end
    assign sum_o = {sum1_q, sum0_q};
  end else begin : gen_rows
    for (genvar row = 0; row < 2; row++) begin : gen_row
      logic signed [7:0] a;
      logic signed [15:0] product, product_q;
      logic signed [31:0] sum_q;
      assign a = a_i[row];
      if (Luts) begin : gen_luts
        logic signed [9:0] triple;
        logic [3:0][9:0] multiple;
        // Kept apart, so that each sum is a carry chain with the choice of the multiple inside its LUTs.
        (* keep *) logic signed [11:0] low, high;
        (* keep *) logic signed [15:0] whole;
        assign triple = triple_i[row];
        always_comb begin
          for (int unsigned n = 0; n < 4; n++) begin
            unique case (b_i[2*n+:2])
              2'd0:    multiple[n] = 10'd0;
              2'd1:    multiple[n] = 10'(a);
              2'd2:    multiple[n] = 10'(a) <<< 1;
              default: multiple[n] = triple;
            endcase
          end
        end
        assign low     = 12'(signed'(multiple[0])) + (12'(signed'(multiple[1])) <<< 2);
        assign high    = 12'(signed'(multiple[2])) + (12'(signed'(multiple[3])) <<< 2);
        assign whole   = 16'(low) + (16'(high) <<< 4);
        assign product = whole - (b_i[8] ? 16'(a) <<< 8 : 16'sd0);
      end else begin : gen_dsp
        assign product = 16'(a) * 16'(b_i);
      end
      always_ff @(posedge clk_i) begin
        product_q <= product;
        sum_q     <= 32'(product_q) + (clear_i ? 32'sd0 : sum_q);
      end
      assign sum_o[row] = sum_q;
    end
  end
endmodule
