"""The sentences of the five sources that the ledger tests: each once, whole, in the order of its text.

Slips of the pen are the sources' own. Left out are only what stands there as noise: in S0 and S2 the second, garbled
copy of each formula, in S1 the pictograms between the clauses. The renderings follow the Chinese as closely as English
allows, hedges included.
"""

from gradclinic.course.claims.claim import Sentence

# --- S0, study notes ---------------------------------------------------------------------------------------------
S0_BELOW = Sentence(
    "那么如果连乘的因子大部分小于1,最后乘积的结果可能趋于0,也就是梯度消失,后面的网络层的参数不发生变化.",
    "If most of the factors multiplied are below 1, the product may in the end tend to 0, that is, the gradient "
    "vanishes, and the parameters of the layers behind do not change.",
)
S0_ABOVE = Sentence(
    "那么如果连乘的因子大部分大于1,最后乘积可能趋于无穷,这就是梯度爆炸",
    "If most of the factors multiplied are above 1, the product may in the end tend to infinity; this is explosion.",
)
S0_FACTORS = Sentence(f"{S0_BELOW.chinese} {S0_ABOVE.chinese}", f"{S0_BELOW.english} {S0_ABOVE.english}")
S0_FRONT = Sentence(
    "梯度消失会导致我们的神经网络中前面层的网络权重无法得到更新,也就停止了学习。",
    "Vanishing gradients leave the weights of the front layers of our network without updates, so that these stop "
    "learning.",
)
S0_UNSTABLE = Sentence(
    "梯度爆炸会使得学习不稳定, 参数变化太大导致无法获取最优参数。",
    "Exploding gradients make learning unstable; the parameters change too much, so that the best ones cannot be "
    "obtained.",
)
S0_NAN = Sentence(
    "在深度多层感知机网络中,梯度爆炸会导致网络不稳定,最好的结果是无法从训练数据中学习,"
    "最坏的结果是由于权重值为NaN而无法更新权重。",
    "In a deep multi-layer perceptron exploding gradients make the network unstable; at best it cannot learn from the "
    "training data, at worst the weights are NaN and can no longer be updated.",
)
S0_RNN = Sentence(
    "在循环神经网络(RNN)中,梯度爆炸会导致网络不稳定,使得网络无法从训练数据中得到很好的学习,"
    "最好的结果是网络不能在长输入数据序列上学习。",
    "In a recurrent network exploding gradients make the network unstable, so that it cannot learn well from the "
    "training data; at best the network cannot learn on long input sequences.",
)
S0_FORMULA = Sentence(
    "根据反向传播算法有:δC/δb1 = δC/δy4 (σ′(z4)w4) (σ′(z3)w3) (σ′(z2)w2) (σ′(z1))",
    "By back-propagation: ∂C/∂b1 = ∂C/∂y4 (σ′(z4) w4) (σ′(z3) w3) (σ′(z2) w2) σ′(z1).",
)
S0_QUARTER = Sentence(
    "由上可见,sigmoid函数的导数σ′(x)的最大值为1/4 ,通常我们会将权重初始值 |w| 初始化为为小于1的随机值,"
    "因此我们可以得到|σ′(z4)w4|<1/4,随着层数的增多,那么求导结果δC/δb1越小,这也就导致了梯度消失问题。",
    "As seen above, the derivative σ′(x) of the sigmoid is at most 1/4; usually we draw the initial |w| as random "
    "values below 1, so we obtain |σ′(z4) w4| < 1/4; as layers are added the derivative ∂C/∂b1 gets smaller, and this "
    "brings about vanishing gradients.",
)
S0_LARGE = Sentence(
    "那么如果我们设置初始权重 |w|较大,那么会有|σ′(z4)w4|>1 ,造成梯度太大(也就是下降的步伐太大),"
    "这也是造成梯度爆炸的原因。",
    "If we make the initial |w| larger, we get |σ′(z4) w4| > 1, which makes the gradient too large (that is, the step "
    "of the descent is too large); this too is a cause of exploding gradients.",
)
S0_DEPTH = Sentence(
    "总之,无论是梯度消失还是梯度爆炸,都是源于网络结构太深,造成网络权重不稳定,"
    "从本质上来讲是因为梯度反向传播中的连乘效应。",
    "In short, vanishing and exploding gradients both come from a network that is too deep, which makes its weights "
    "unstable; in essence it is the effect of repeated multiplication in back-propagation.",
)
S0_RELU = Sentence("ReLu:让激活函数的导数为1", "ReLU: makes the derivative of the activation 1.")
S0_LEAKY = Sentence(
    "LeakyReLu:包含了ReLu的几乎所有有点,同时解决了ReLu中0区间带来的影响",
    "LeakyReLU: has nearly all advantages of ReLU, and removes the effects of ReLU's zero region.",
)
S0_ELU = Sentence(
    "ELU:和LeakyReLu一样,都是为了解决0区间问题,相对于来,elu计算更耗时一些",
    "ELU: like LeakyReLU meant for the problem of the zero region; in comparison ELU takes somewhat more time.",
)
S0_BATCH_NORM = Sentence(
    "Batchnorm是深度学习发展以来提出的最重要的成果之一了,目前已经被广泛的应用到了各大网络中,具有加速网络收敛速度,"
    "提升训练稳定性的效果,Batchnorm本质上是解决反向传播过程中的梯度问题。",
    "Batch norm is one of the most important results of deep learning and is by now used widely in all great networks; "
    "it has the effect of speeding up convergence and raising the stability of training; in essence it solves the "
    "gradient problem of back-propagation.",
)
S0_NORMALISING = Sentence(
    "batchnorm全名是batch normalization,简称BN,即批规范化,通过规范化操作将输出信号x规范化保证网络的稳定性。",
    "Its full name is batch normalization, BN for short; by normalising the output signal x it guarantees the "
    "stability of the network.",
)
S0_BACKWARD = Sentence(
    "具体来说就是反向传播中,经过每一层的梯度会乘以该层的权重,举个简单例子:正向传播中f2=f1(wT∗x+b),那么反向传播中,"
    "∂f2/∂x=(∂f2/∂f1)x,反向传播式子中有x的存在,所以x的大小影响了梯度的消失和爆炸,"
    "batchnorm就是通过对每一层的输出规范为均值和方差一致的方法,消除了x带来的放大缩小的影响,进而解决梯度消失和爆炸的问题,"
    "或者可以理解为BN将输出从饱和区拉倒了非饱和区。",
    "In detail: in back-propagation the gradient that passes a layer is multiplied by that layer's weights. A simple "
    "example: with f2 = f1(w^T x + b) forwards, backwards ∂f2/∂x = (∂f2/∂f1) x; x stands in it, so the size of x "
    "affects vanishing and explosion; batch norm gives every layer's output the same mean and variance, removes the "
    "scaling by x and thereby solves vanishing and explosion; or one can say that BN pulls the output from the "
    "saturated into the unsaturated region.",
)
S0_LISTING = Sentence("ResNet代码实现:", "ResNet, implemented in code:")
S0_RESNET = Sentence("5.4 解决方法 5.4.3 ResNet残差结构", "5.4 Remedies. 5.4.3 The residual structure of ResNet.")
S0_RESIDUAL = Sentence(
    "总的来说,Resnet的核心思想就是更改了网络结构的学习目的,原本学习的是直接通过卷积得到的图像特征H(X),"
    "现在学习的是图像与特征的残差H(X)-X,这样更改的原因是因为残差学习相比原始特征的直接学习更加容易。以下进行一个简单的证明。",
    "All in all, the core of ResNet is to change what the network learns: once the features H(X) of the image "
    "directly by convolution, now the residual H(X) − X; the reason is that residual learning is easier than "
    "learning the features directly. Here is a simple proof.",
)
S0_LSTM = Sentence("5.4.4 LSTM结构 参见本人的第6篇学习笔记", "5.4.4 The LSTM. See my sixth set of notes.")
S0_PRETRAINING = Sentence(
    "此方法来自Hinton在06年发表的论文上,其基本思想是每次训练一层隐藏层节点,将上一层隐藏层的输出作为输入,"
    "而本层的输出作为下一层的输入,这就是逐层预训练。训练完成后,再对整个网络进行“微调(fine-tunning)”。",
    "This comes from a paper by Hinton of 2006; the basic idea is to train one hidden layer at a time, its input the "
    "output of the hidden layer before, its output the input of the next: layer-wise pre-training. When that is done, "
    "the whole network is fine-tuned.",
)
S0_OPTIMUM = Sentence(
    "此方法相当于是找全局最优,然后整合起来寻找全局最优,但是现在基本都是直接拿imagenet的预训练模型直接进行finetunning。",
    "This amounts to finding the global optima and then, put together, the global optimum; but today one basically "
    "just takes a model pre-trained on ImageNet and fine-tunes it.",
)
S0_CLIPPING = Sentence(
    "这个方案主要是针对梯度爆炸提出的,其思想是设值一个剪切阈值,如果更新梯度时,梯度超过了这个阈值,"
    "那么就将其强制限制在这个范围之内。这样可以防止梯度爆炸。",
    "This was proposed mainly against exploding gradients; the idea is to set a threshold, and where the gradient "
    "exceeds it at an update, to force it into this range. That can prevent exploding gradients.",
)
S0_PENALTY = Sentence(
    "可以看出,如果发生梯度爆炸,那么权值的范数就会变的非常大,反过来,通过限制正则化项的大小,"
    "也可以在一定程度上限制梯度爆炸的发生。",
    "As one sees, when gradients explode the norm of the weights becomes very large; conversely, limiting the size of "
    "the penalty can limit the occurrence of explosion to some degree.",
)

# --- S1, a page of collected answers -----------------------------------------------------------------------------
S1_RESNET = Sentence(
    "ResNets 是如何解决深度神经网络训练中的梯度消失和爆炸问题的?",
    "How do ResNets solve vanishing and exploding gradients in the training of deep networks?",
)
S1_PENALTY = Sentence(
    "另外一种解决梯度爆炸的手段是采用权重正则化(weithts regularization)比较常见的是l1正则,和l2正则",
    "Another means of solving exploding gradients is to regularise the weights, most commonly L1 and L2.",
)
S1_ADAGRAD = Sentence(
    "Adagrad算法可以针对不同的参数自适应的采用不同的更新频率,对低频出现的特征采用低的更新率,"
    "对高频出现的特征采用高的更新率,因此,对于稀疏的数据它表现的很好,很好的提升了SGD的鲁棒性,"
    "在Google的通过Youtube视频识别猫的神经网络训练中有很好的表现。",
    "Adagrad can adapt the update to each parameter: a low rate for features that occur rarely, a high rate for "
    "features that occur often; therefore it does well on sparse data, improves the robustness of SGD much, and did "
    "well in Google's network that recognised cats in YouTube videos.",
)
S1_VARIANTS = Sentence(
    "利用一些改进的ReLU 可以在一定程度上避免梯度消失的问题。例如,ELU 和Leaky ReLU,这些都是ReLU 的变体。",
    "Improved ReLUs can avoid vanishing gradients to some degree, for example ELU and Leaky ReLU, variants of ReLU.",
)
S1_FORMULA = Sentence(
    "权重初始化在初始化权重的时候,使权重满足如下公式:G1 n_out Var[w(i)]=1 其中G1 是估计的激活函数的平均值",
    "Initialising the weights, let them satisfy this formula: G1 n_out Var[w(i)] = 1, where G1 is the estimated mean "
    "of the activation.",
)
S1_RANGE = Sentence(
    "梯度消失与梯度爆炸原因均在于剪切范围的选择,选择过小的话会导致梯度消失,如果设得稍微大了一点,每经过一层网络,"
    "梯度变大一点点,多层之后就会发生梯度爆炸。",
    "Vanishing and exploding gradients both come from the choice of the clipping range: too small, and the gradient "
    "vanishes; a little too large, and it grows a little with every layer, and after many layers explodes.",
)
S1_CONTINUITY = Sentence(
    "为了解决这个问题,并且找一个合适的方式满足lipschitz连续性条件,"
    "作者提出了使用梯度惩罚(gradient penalty)的方式以满足此连续性条件。",
    "To solve this, and to find a fitting way to meet the Lipschitz condition, the authors proposed the gradient "
    "penalty in order to meet this condition.",
)
S1_NONLINEAR = Sentence(
    "增加网络的非线性能力,从而拟合更多的非线性过程。",
    "(Activations) add to the network's power of nonlinearity, so that it fits more nonlinear processes.",
)
S1_RELU = Sentence(
    "ReLU在一定程度上能够防止梯度消失,但防止梯度消失不是用它的主要原因,主要原因是求导数简单。",
    "ReLU can prevent vanishing gradients to some degree, but that is not the main reason to use it; the main reason "
    "is that its derivative is simple.",
)
S1_SIDES = Sentence(
    "一定程度是指,右端的不会趋近于饱和,求导数时,导数不为零,从而梯度不消失,但左端问题依然存在,一样掉进去梯度也会消失。",
    "To some degree means: the right end does not approach saturation, its derivative is not zero and the gradient "
    "does not vanish; but on the left end the problem remains, who falls in there loses the gradient just the same.",
)
S1_SATURATING = Sentence(
    "BN允许网络使用饱和性激活函数(例如sigmoid,tanh等),缓解梯度消失问题",
    "BN lets a network use saturating activations (sigmoid, tanh) and mitigates vanishing gradients.",
)
S1_DRIFT = Sentence(
    "在不使用BN层的时候,由于网络的深度与复杂性,很容易使得底层网络变化累积到上层网络中,"
    "导致模型的训练很容易进入到激活函数的梯度饱和区;通过normalize操作可以让激活函数的输入数据落在梯度非饱和区,"
    "缓解梯度消失的问题;",
    "Without BN, with deep and complex networks, changes of the lower layers easily pile up in the upper ones, and "
    "training easily enters the region where the activation saturates; normalising can make the activation's inputs "
    "fall outside it, which mitigates vanishing gradients.",
)
S1_ZERO = Sentence(
    "通过规范化处理后的数据分布在0附近,图中为激活函数梯度最大值附近,较大的梯度在训练中收敛速度自然快。",
    "Normalised data lie near 0, in the figure near the activation's largest slope; with larger gradients training "
    "naturally converges fast.",
)
S1_LINEAR = Sentence(
    "但是,关键问题出现了,分布在0附近的数据,sigmoid近似线性函数,这就失去了非线性激活操作的意义,这种情况下,"
    "神经网络将降低拟合性能,如何解决这一问题呢?",
    "But here is the catch: for data near 0 the sigmoid is approximately linear, which defeats the point of a "
    "nonlinear activation; the network will then fit less well; how to solve this?",
)
S1_BACKPROPAGATION = Sentence(
    "事实上由于神经网络中参数(权重W和偏置b)通常较多,要想直接求解损失函数对这些参数的梯度,难度极大,"
    "所以在实际训练网络时,我们通常采用反向误差传播,即BP算法,巧妙地利用预测值与标签值的残差,"
    "从输出层到输入层反向地求解出损失函数对各层网络参数的梯度。",
    "As a network usually has many parameters (weights W and biases b), to solve for the gradient of the loss directly "
    "is extremely hard; so in practice we usually use back-propagation, which cleverly takes the residual of "
    "prediction and label and solves for the gradients of all layers from the output back to the input.",
)

# --- S2, notes on numerical stability ----------------------------------------------------------------------------
S2_CHAIN = Sentence(
    "基于上述运算,损失函数L关于第t层神经网络h_t权重参数W_t梯度可表示为:"
    "∂L/∂W_t=∂L/∂h_d·∂h_d/∂h_{d−1}⋯∂h_{t+1}/∂h_t·∂h_t/∂W_t",
    "From this, the gradient of the loss L with respect to the weights W_t of layer h_t can be written as "
    "∂L/∂W_t = ∂L/∂h_d · ∂h_d/∂h_{d−1} ⋯ ∂h_{t+1}/∂h_t · ∂h_t/∂W_t.",
)
S2_JACOBIAN = Sentence(
    "那么关于t隐藏层输出h_t,h_{t−1}梯度表示为:∂h_t/∂h_{t−1}=Diag[σ′(W_t·h_{t−1})]·W_t^T",
    "Then the gradient of layer t's output h_t with respect to h_{t−1} is ∂h_t/∂h_{t−1} = Diag[σ′(W_t h_{t−1})] W_t^T.",
)
S2_PRODUCT = Sentence(
    "至此,关于上述d−t矩阵乘法可表示为如下形式:"
    "∂h_d/∂h_t=∏_{i=t}^{d−1}∂h_{i+1}/∂h_i=∏_{i=t}^{d−1}Diag[σ′(W_i h_{i−1})]·W_i^T",
    "So these d − t matrix products can be written as ∂h_d/∂h_t = ∏_{i=t}^{d−1} ∂h_{i+1}/∂h_i = ∏_{i=t}^{d−1} "
    "Diag[σ′(W_i h_{i−1})] W_i^T.",
)
S2_ASCENT = Sentence(
    "针对某任务目标(例如极大似然估计),使用梯度上升法作为参数的迭代算法:W^(t+1)⇐W^(t)+η·∂L^(t)/∂W",
    "For some task (such as maximum likelihood), gradient ascent is used to iterate the parameters: "
    "W^(t+1) ⇐ W^(t) + η ∂L^(t)/∂W.",
)
S2_MASK = Sentence(
    "根据ReLU函数的导数表达,那么矩阵Diag[σ′(W_i·h_{i−1})]必然是一个由0,1元素构成的多维矩阵。"
    "并且这些0分量对应的权重分量W_{i(k)}^T∈W_i^T的梯度结果为0。",
    "By ReLU's derivative the matrix Diag[σ′(W_i h_{i−1})] is necessarily one of entries 0 and 1. And the weights "
    "W_{i(k)}^T ∈ W_i^T that belong to these 0 entries have gradient 0.",
)
S2_SEPARATE = Sentence(
    "∂h_d/∂h_t=∏_{i=t}^{d−1}Diag[σ′(W_i·h_{i−1})](0,1元素构成)·∏_{i=t}^{d−1}W_i^T",
    "∂h_d/∂h_t = ∏_{i=t}^{d−1} Diag[σ′(W_i h_{i−1})] (entries 0 and 1) · ∏_{i=t}^{d−1} W_i^T.",
)
S2_GROWTH = Sentence(
    "而最终的梯度结果表示为那些没有被置0权重分量的乘积结果。由于这些权重分量均大于1,并且ReLU在大于0部分的导数为1。"
    "也就是说,这些大于0的权重分量在ReLU激活函数条件下,其梯度不会造成削减。最终导致∏W_i^T连乘过程中越来越大。"
    "从而导致∂L/∂W越来越大,最终导致W^(t+1)累加过程中越来越大,导致梯度爆炸现象。",
    "The gradient is in the end the product of the weights that were not set to 0. As these are all above 1, and as "
    "ReLU's derivative is 1 above 0, they do not lessen the gradient. So the product ∏ W_i^T gets larger and larger. "
    "So ∂L/∂W gets larger and larger, and in the end W^(t+1), adding up, gets larger and larger: exploding gradients.",
)

# --- S3, a laboratory report -------------------------------------------------------------------------------------
S3_VANISHING = Sentence(
    "梯度消失:梯度呈指数级减少,最终趋近于 0,网络权重无法更新或者更新的幅度很小,导致网络训练过程很慢,无法找到最优点。",
    "Vanishing: the gradient shrinks exponentially and in the end approaches 0; the weights cannot be updated or only "
    "by little, so that training is slow and the optimum cannot be found.",
)
S3_EXPLODING = Sentence(
    "梯度爆炸:梯度呈指数级增长,最终趋向于一个很大的数,网络权重更新的幅度很大,导致网络训练过程变得很不稳定,无法找到最优点。",
    "Exploding: the gradient grows exponentially towards a very large number; the updates of the weights are large, so "
    "that training becomes very unstable and the optimum cannot be found.",
)
S3_BOTH = Sentence(f"{S3_VANISHING.chinese} {S3_EXPLODING.chinese}", f"{S3_VANISHING.english} {S3_EXPLODING.english}")
S3_PICTURE = Sentence(
    "如果简单地从二维的角度去定义梯度的话,如图1所示,最优点也就是点 1,起始点可能是在点 A,在梯度消失的情况下,"
    "可能经过很多个 Epoch 的情况下,网络只找到了点 B,因此找不到最优点;而在梯度爆炸的情况下,"
    "可能第一次更新网络就找到了点 F,第二次更新回到了点 A,也就是说网络的更新过程中一直越过了最优点,因此也找不到最优点。",
    "Put simply in two dimensions, as in figure 1, the optimum is point 1 and the start perhaps point A; with a "
    "vanishing gradient the network may after many epochs have found only point B, and so does not find the optimum; "
    "with an exploding gradient the first update may find point F and the second return to A, that is, the updates "
    "keep passing over the optimum, and so do not find it either.",
)
S3_LOSS = Sentence(
    "以对输出层的权重参数求偏导为例,如下所示:"
    "∂E/∂w_11^(3)=½·2(y_1−a_1^(3))(−∂a_1^(3)/∂w_11^(3))=−(y_1−a_1^(3))f′(z_1^(3))∂z_1^(3)/∂w_11^(3)=−(y_1−a_1^(3))f′(z_1^(3))a_1^(2)",
    "Take the derivative by a weight of the output layer: ∂E/∂w = ½·2 (y − a)(−∂a/∂w) = −(y − a) f′(z) ∂z/∂w "
    "= −(y − a) f′(z) a_1^(2).",
)
S3_EQUATIONS = Sentence(
    "总的来说,反向传播可以总结为如下四个公式:δ_i^(L)=−(y_i−a_i^(L))f′(z_i^(L)), "
    "δ_i^(l)=(Σ_j δ_j^(l+1)w_ji^(l+1))f′(z_i^(l)), ∂E/∂w_ij^(l)=δ_i^(l)a_j^(l−1), ∂E/∂b_i^(l)=δ_i^(l)",
    "All in all, back-propagation can be summed up in four formulas: δ_i^(L) = −(y_i − a_i^(L)) f′(z_i^(L)), "
    "δ_i^(l) = (Σ_j δ_j^(l+1) w_ji^(l+1)) f′(z_i^(l)), ∂E/∂w_ij^(l) = δ_i^(l) a_j^(l−1), ∂E/∂b_i^(l) = δ_i^(l).",
)
S3_UPDATE = Sentence(
    "而更新权重的公式如下所示:w←w+Δw, Δw=−α∂E/∂w_ij^(l)",
    "The weights are updated by w ← w + Δw, Δw = −α ∂E/∂w_ij^(l).",
)
S3_PRODUCT = Sentence(
    "而深度神经网络更新权重时的反向传播简单来说也就是多个公式∂E/∂w_ij^(l)的连乘,因此当∂E/∂w_ij^(l)部分大于 1 时,"
    "随着层数的不断增多,梯度更新信息将会以指数形式增长,发生梯度爆炸,而当∂E/∂w_ij^(l)部分小于 1时,随着层数的增多,"
    "梯度更新信息将会以指数形式减小,发生梯度消失。",
    "Back-propagation in a deep network is, put simply, the product of several ∂E/∂w_ij^(l); so where parts of "
    "∂E/∂w_ij^(l) exceed 1, the gradient will grow exponentially as layers are added and explode, and where parts of "
    "it are below 1, it will shrink exponentially and vanish.",
)
S3_SIGMOID = Sentence(
    "可以看出,Sigmoid 作为激活函数的时候,他的导数值,也就是梯度值是不可能超过 0.25 的,而在神经网络层数加深的时候,"
    "对于某个权重进行更新需要进行多层链式求导,就很容易出现梯度消失的问题。",
    "As one sees, with the sigmoid as activation the value of its derivative, that is, its gradient, cannot exceed "
    "0.25; and as layers are added, the update of a weight needs the chain rule through many layers, and vanishing "
    "gradients easily appear.",
)
S3_CLIPPING = Sentence(
    "梯度剪切:主要针对梯度爆炸,设置一个梯度剪切阈值,在更新梯度的时候,若梯度超过阈值,就将其缓解在阈值范围内,缓解梯度爆炸。",
    "Gradient clipping: mainly against explosion; a threshold is set, and where a gradient exceeds it at an update, it "
    "is brought back into the range, which mitigates exploding gradients.",
)
S3_RIDGE = Sentence(
    "正则化损失函数形式如下所示:Loss=(y−W^T x)²+α||W||² 其中α是正则化项系数,"
    "通过正则化项可以在一定程度上缓解梯度爆炸的发生。",
    "The regularised loss has the form Loss = (y − W^T x)² + α‖W‖², α being the penalty's coefficient; by the penalty "
    "the occurrence of explosion can be mitigated to some degree.",
)
S3_RELU = Sentence(
    "Relu 函数的导数在 x>0 的情况下是恒等于 1 的,因此在深度神经网络权重更新的过程中使用 Relu 激活函数"
    "就不会导致梯度消失和梯度爆炸的问题,但是由于负数部分导数恒为 0,也会导致部分神经元无法激活。",
    "ReLU's derivative is identically 1 for x > 0, so using ReLU will not lead to vanishing or exploding gradients in "
    "the updates of a deep network; but as the derivative is identically 0 on the negative side, some neurons cannot "
    "be activated.",
)
S3_BATCH_NORM = Sentence(
    "通过将每层网络的神经元输入分布归一化到正态分布,使得激活函数的输入值落在对于输入变换较为敏感的区域,"
    "输入的略微变化也会导致损失函数也会有较大的变化,也就是梯度较大,缓解了梯度消失的问题,同时也可以加快学习速度。",
    "The distribution of each layer's inputs is normalised to a normal distribution, so that the activation's inputs "
    "fall into the region that is sensitive to changes; a slight change of the input brings a larger change of the "
    "loss, that is, the gradient is larger, which mitigates vanishing gradients and can also speed up learning.",
)
S3_SKIP = Sentence(
    "由于 X 是直接传递的,因此他没有权重参数,也就是说跨层连接的分支 X 的梯度始终为 1,"
    "因此即使主干网络 F(x) 前向传播的时候梯度值很小,加上分支的梯度都可以很好地缓解梯度消失的问题。",
    "As X is passed on directly, it has no weights, that is, the gradient of the skip branch X is always 1; so even "
    "where the gradient of the trunk F(x) is very small, with the branch's gradient added vanishing can be mitigated "
    "well.",
)

# --- S4, a reproduction with TensorFlow 1 ------------------------------------------------------------------------
S4_STILL = Sentence(
    "在训练rnn模型时,很可能会遇到一段时间后,无论怎么训练,损失函数都不变化的情况.仿佛时间静止了一样."
    "这时候很可能是大多数参数都不变了.也就是遇到了梯度消失的问题.",
    "When training an RNN one may very well find that after a while, however one trains, the loss no longer changes, "
    "as if time stood still. Very probably most parameters then no longer change: vanishing gradients have been met.",
)
S4_FORMULA = Sentence(
    "∂z/∂w0=2σ′(z5)w5σ′(z4)w4σ′(z3)w3σ′(z2)w2σ′(z1)w1σ′(z0)",
    "∂z/∂w0 = 2 σ′(z5) w5 σ′(z4) w4 σ′(z3) w3 σ′(z2) w2 σ′(z1) w1 σ′(z0).",
)
S4_SLOPES = Sentence(
    "σ′(z_i) 的范围在(0,1)之间.6个小于1的数相乘,会导致结果非常接近0.这就造成w0的梯度很小,"
    "在训练的过程中w0变化特别慢,这就是梯度消失的原因.",
    "σ′(z_i) lies in (0, 1). Six numbers below 1 multiplied give a result very close to 0. So the gradient of w0 is "
    "small and w0 changes very slowly in training; this is the cause of vanishing gradients.",
)
S4_LARGE = Sentence(
    "反过来看,当w_i很大时,5个很大的数相乘,会造成w0的梯度特别大,更新一次就可能越过极值.这就是梯度爆炸的原因.",
    "Conversely, where the w_i are very large, five very large numbers multiplied make the gradient of w0 very large, "
    "and a single update may pass the extremum. This is the cause of exploding gradients.",
)
S4_SAME = Sentence("两段代码的结果是一样的.", "The results of the two programs are the same.")
S4_TABLE = Sentence(
    "把最后几次的输出列出来: step=998,dw0=-0.0004,w0=0.5947,z=0.0061 … step=999,db2=0.0060,b2=-3.1744,z=0.0061",
    "The last outputs are these: (twelve lines of steps 998 and 999).",
)
S4_SLOW = Sentence(
    "当step=999时,dw2为0.0052,dw1为-0.0014,dw0为-0.0004.dw0已经非常接近0.也就是在训练过程中w0变化非常慢."
    "这还是3层网络,假定是100层.那w0就基本等于0个.无论怎么训练w0都不会怎么变化.",
    "At step 999 dw2 is 0.0052, dw1 −0.0014, dw0 −0.0004. dw0 is already very close to 0: w0 changes very slowly in "
    "training. And this is a network of 3 layers; suppose it were 100. Then (the gradient of) w0 is practically 0. "
    "However one trains, w0 will hardly change.",
)
S4_HUNDRED = Sentence(
    "想复现梯度爆炸,可以把各个w调大一点,比如100以上.同样的代码,看看效果.",
    "To reproduce exploding gradients, one can raise each w, to 100 or more, say. The same code; see what happens.",
)
